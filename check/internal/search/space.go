package search

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
)

// space is what has been met of a model: controls, and at each the places that parts have. A place is
// opened, which asks the model for what follows, once a state has it.
type space struct {
	m        Model
	layout   layout
	kinds    []int // that components have, each once
	of       []int // by component: the number of its kind among these
	controls []*control
	numbers  map[Control]*control
	grown    []*control // that have more places than they had
	room     room
}

type control struct {
	number int
	id     Control
	open   bool
	steps  []Step
	to     []*control // by step
	waits  bool
	kinds  []places // by number of the kind
	grown  bool
	digits digits
	set    set
}

// places are those of a kind at a control.
type places struct {
	parts  []Part
	number map[Part]uint32
	at     []place
	wanted []uint32 // 1 once a state has it
}

type place struct {
	marks  Marks
	moves  []uint32 // the places that they lead to, nowhere where they break something
	after  []uint32 // by step of the control: the place there
	broken bool     // one of the moves is
}

const nowhere = math.MaxUint32

// want is a place that is to be opened.
type want struct {
	control, kind int
	place         uint32
}

func newSpace(m Model) *space {
	s := &space{m: m, numbers: map[Control]*control{}}
	for _, kind := range m.Kinds() {
		if last := len(s.kinds) - 1; last < 0 || s.kinds[last] != kind {
			s.kinds = append(s.kinds, kind)
		}
		s.of = append(s.of, len(s.kinds)-1)
	}
	s.layout = newLayout(s.of, m.Alike())
	return s
}

// control returns the one that the model calls so.
func (s *space) control(id Control) *control {
	c := s.numbers[id]
	if c == nil {
		c = &control{number: len(s.controls), id: id, kinds: make([]places, len(s.kinds)), set: set{room: &s.room}}
		for i := range c.kinds {
			c.kinds[i].number = map[Part]uint32{}
		}
		s.numbers[id] = c
		s.controls = append(s.controls, c)
	}
	return c
}

// placeBytes is what a place takes up, about.
const placeBytes = 256

// place returns the place of a part.
func (s *space) place(c *control, kind int, p Part) uint32 {
	ps := &c.kinds[kind]
	n, ok := ps.number[p]
	if !ok {
		n = uint32(len(ps.parts))
		ps.number[p] = n
		ps.parts, ps.at, ps.wanted = append(ps.parts, p), append(ps.at, place{}), append(ps.wanted, 0)
		s.layout.grow(len(ps.parts))
		s.room.take(placeBytes)
		if !c.grown {
			c.grown = true
			s.grown = append(s.grown, c)
		}
	}
	return n
}

// want notes that a state has a place. Several workers may call it.
func (ps *places) want(list []want, c *control, kind int, p uint32) []want {
	if at := &ps.wanted[p]; atomic.LoadUint32(at) == 0 && atomic.CompareAndSwapUint32(at, 0, 1) {
		list = append(list, want{c.number, kind, p})
	}
	return list
}

// begin adds the state that all begins in, and returns what it wants.
func (s *space) begin() (wanted []want, c *control, at []uint32) {
	id, parts := s.m.Begin()
	c = s.control(id)
	for i, p := range parts {
		n := s.place(c, s.of[i], p)
		at = append(at, n)
		wanted = c.kinds[s.of[i]].want(wanted, c, s.of[i], n)
	}
	s.layout.order(at, nil)
	if s.fit(); !s.room.full() {
		c.set.add(s.layout.number(&c.digits, at))
	}
	return wanted, c, at
}

// pass makes the next level this one, and opens the places that are new there, in an order that does not depend on
// who wanted them first.
func (s *space) pass(wanted []want) error {
	for _, c := range s.controls {
		c.set.pass()
	}
	slices.SortFunc(wanted, func(a, b want) int {
		return cmp.Or(cmp.Compare(a.control, b.control), cmp.Compare(a.kind, b.kind), cmp.Compare(a.place, b.place))
	})
	for _, w := range wanted {
		if err := s.open(s.controls[w.control], w.kind, w.place); err != nil {
			return err
		}
	}
	s.fit()
	return nil
}

func (s *space) open(c *control, kind int, n uint32) error {
	if !c.open {
		c.open = true
		c.steps, c.waits = s.m.Steps(c.id)
		for i := range c.steps {
			c.to = append(c.to, s.control(c.steps[i].To))
		}
	}
	part := c.kinds[kind].parts[n]
	p := place{marks: s.m.Marks(s.kinds[kind], part), after: make([]uint32, len(c.steps))}
	moves, err := s.m.Moves(c.id, s.kinds[kind], part)
	if err != nil {
		return err
	}
	p.moves = make([]uint32, len(moves))
	for i, to := range moves {
		if to == Broken {
			p.moves[i], p.broken = nowhere, true
		} else {
			p.moves[i] = s.place(c, kind, to)
		}
	}
	for i := range c.steps {
		if c.steps[i].Unless&p.marks == 0 {
			p.after[i] = s.place(c.to[i], kind, s.m.After(c.id, i, s.kinds[kind], part))
		}
	}
	c.kinds[kind].at[n] = p
	return nil
}

// fit makes place for the states of the controls that have more places now.
func (s *space) fit() {
	for _, c := range s.grown {
		c.grown = false
		s.fitControl(c)
	}
	s.grown = s.grown[:0]
}

func (s *space) fitControl(c *control) {
	room, moves := make([]int, len(s.layout.groups)), false
	for i, g := range s.layout.groups {
		room[i] = len(c.kinds[g.kind].parts)
		if i+1 == len(room) {
			break // of the last digit there may be any number
		}
		have := 0
		if c.digits.room != nil {
			have = c.digits.room[i]
		}
		if room[i] > have {
			room[i], moves = max(room[i], 2*have), true
		} else {
			room[i] = have
		}
	}
	s.layout.grow(slices.Max(room))
	old := c.digits
	c.digits = s.layout.digits(room)
	if c.digits.total > tooMany {
		s.room.take(2 * noBound)
		return
	}
	if moves && old.total > 0 {
		from, at := c.set, make([]uint32, s.layout.comps)
		s.room.take(-from.size())
		c.set = set{room: &s.room}
		if c.set.fit(c.digits.total); s.room.full() {
			return
		}
		from.each(func(n uint64, fresh bool) {
			s.layout.places(&old, n, at)
			c.set.put(s.layout.number(&c.digits, at), fresh)
		})
	}
	c.set.fit(c.digits.total)
}
