package model

import (
	"fmt"
	"math"

	"callops/check/internal/guest"
	"callops/check/internal/weak"
	"callops/check/property"
)

// stuck is the detail of a deadlock.
const stuck = "nothing can happen any more, and not everybody is done"

// Play goes a way, calls tell with each of its steps, and returns what the last
// one breaks. A way that can't be gone, or breaks nothing, or does so before its
// end, matches ErrWay.
func (s *Subject) Play(w Way, tell func(*Report) error) (*property.Broken, error) {
	p := s.newPlayer()
	for i, c := range w {
		first := true
		broke, err := p.step(c, func(from *state, mv *move) error {
			if !first {
				return nil // invisible to CPUs
			}
			first = false
			r, err := s.report(p.at(from), mv)
			if err != nil {
				return err
			}
			return tell(r)
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		case broke != nil && i+1 < len(w):
			return nil, fmt.Errorf("it goes on after what step %d breaks: %w", i+1, ErrWay)
		case broke != nil:
			return broke, nil
		}
	}
	list, err := p.moves(p.s)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 || p.finished() {
		return nil, fmt.Errorf("the way breaks nothing: %w", ErrWay)
	}
	return &property.Broken{Property: property.NoDeadlock, Detail: stuck}, nil
}

// player makes choices one after another.
type player struct {
	*product
	s *state
}

// newPlayer returns one for a subject. It takes every location that is stored to for
// read, every object for used, and rounds nothing.
func (s *Subject) newPlayer() *player {
	all := touches{read: map[int]bool{}, used: math.MaxUint64}
	for i := range s.p.hist.Locations() {
		all.read[i] = true
	}
	m := newProduct(s.sc, s.p, s.g, s.kinds, false, all)
	return &player{product: m, s: m.first()}
}

// step makes a choice and calls tell for each move that it consists of. It
// returns what that broke.
func (p *player) step(c choice, tell func(s *state, mv *move) error) (*property.Broken, error) {
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
			return nil, fmt.Errorf("%s can't be made: %w", c, ErrWay)
		}
		mv := &list[found]
		if err := tell(p.s, &mv.move); err != nil {
			return nil, err
		}
		if mv.state == nil {
			return mv.broken, nil
		}
		p.s = mv.state
		if c.kind != patches || p.at(p.s) == weak.Time(c.arg) {
			return nil, nil
		}
	}
}

// finished reports whether nothing is left to do.
func (p *player) finished() bool {
	for _, b := range p.s.blocks {
		if p.block(b).node.Kind != guest.Done {
			return false
		}
	}
	return !p.waits(p.s.control)
}

// fits reports whether a move is the choice, or leads to it.
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
