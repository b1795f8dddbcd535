package check

import (
	"fmt"

	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/check/internal/weak"
)

// choice is a move as it can be made again by a model that has searched
// nothing, whatever it calls its states.
type choice struct {
	kind choiceKind
	cpu  int
	arg  int // of patches: the time; of calls: the callback; of sees: the input
}

type choiceKind uint8

const (
	patches   choiceKind = iota // a patcher goes on to a time
	callsBack                   // a callback runs
	sees                        // a CPU goes on, and sees
	switches                    // its task is taken off it, or leaves
	answers                     // it is interrupted
	numChoices
)

func (c choice) String() string {
	switch c.kind {
	case patches:
		return fmt.Sprintf("the patchers' step %d", c.arg)
	case callsBack:
		return fmt.Sprintf("callback %d", c.arg)
	case sees:
		return fmt.Sprintf("what cpu%d sees (%#x)", c.cpu, c.arg)
	case switches:
		return fmt.Sprintf("a switch on cpu%d", c.cpu)
	case answers:
		return fmt.Sprintf("an interrupt of cpu%d", c.cpu)
	}
	return fmt.Sprintf("choice %d", c.kind)
}

// choice is what mv chooses, on its way to the time now.
func (mv *move) choice(now weak.Time) choice {
	switch {
	case mv.call > 0:
		return choice{kind: callsBack, arg: mv.call - 1}
	case mv.cpu < 0:
		return choice{kind: patches, arg: int(now)}
	case mv.event == isPreempted, mv.event == schedules:
		return choice{kind: switches, cpu: mv.cpu}
	case mv.event == isInterrupted:
		return choice{kind: answers, cpu: mv.cpu}
	}
	return choice{kind: sees, cpu: mv.cpu, arg: int(mv.in)}
}

// choices turns the way that a search found into choices. The search puts CPUs
// that do the same in order; here each keeps its number.
func (m *model) choices(trace *search.Trace) ([]choice, error) {
	var all []choice
	who := make([]int, len(m.kinds)) // by place: which CPU's block is there
	for i := range who {
		who[i] = i
	}
	s := make([]byte, m.size)
	m.Initial(s)
	for _, n := range trace.Moves {
		list, err := m.moves(s)
		if err != nil {
			return nil, err
		}
		mv := list[n]
		if mv.cpu >= 0 {
			mv.cpu = who[mv.cpu]
		}
		if mv.state == nil {
			all = append(all, mv.choice(0))
			break
		}
		all = append(all, mv.choice(getTime(mv.state, atTime)))
		s = mv.state
		if m.reduced {
			m.order(s, who)
		}
	}
	return all, nil
}

// player makes choices one after another.
type player struct {
	*model
	s []byte
}

// newPlayer returns one for a subject. It knows of every location that is
// stored to, and rounds nothing.
func (s *subject) newPlayer() *player {
	read := map[int]bool{}
	for i := range s.p.hist.Locations() {
		read[i] = true
	}
	m := newModel(s.sc, s.p, s.g, s.kinds, false, read)
	p := &player{model: m, s: make([]byte, m.size)}
	m.Initial(p.s)
	return p
}

// step makes a choice and calls tell for each move that it consists of. It
// returns what that broke.
func (p *player) step(c choice, tell func(s []byte, mv *move) error) (*guest.Broken, error) {
	for {
		list, err := p.moves(p.s)
		if err != nil {
			return nil, err
		}
		found := -1
		for i := range list {
			if p.fits(c, &list[i]) {
				found = i
				break
			}
		}
		if found < 0 {
			return nil, fmt.Errorf("%w: %s can't be made", ErrToken, c)
		}
		mv := &list[found]
		if err := tell(p.s, &mv.move); err != nil {
			return nil, err
		}
		if mv.state == nil {
			return mv.broken, nil
		}
		p.s = mv.state
		if c.kind != patches || getTime(p.s, atTime) == weak.Time(c.arg) {
			return nil, nil
		}
	}
}

// finished says that nothing is left to do.
func (p *player) finished() bool {
	for cpu := range p.kinds {
		if p.block(p.blockOf(p.s, cpu)).node.Kind != guest.Done {
			return false
		}
	}
	return !p.patches(p.s, getTime(p.s, atTime), func(weak.Time) {})
}

// fits says whether a move is the choice, or leads to it.
func (p *player) fits(c choice, mv *reached) bool {
	if mv.cpu != c.cpu && c.kind >= sees {
		return false
	}
	if c.kind != patches {
		return mv.choice(0) == c
	}
	if mv.cpu >= 0 || mv.call > 0 || c.arg >= len(p.p.steps) {
		return false
	}
	for t := weak.Time(c.arg); t > 0; t = p.p.hist.Parent(t) {
		if t == mv.time {
			return true
		}
	}
	return false
}
