package search

import (
	"context"
	"errors"
	"slices"
)

// Trace is a way from the initial state. The last move breaks something; or else
// nothing follows where it ends, and something should.
type Trace struct{ Moves []Move }

// Move is a step of the control, or a move of a component.
type Move struct {
	Component int // -1: the control
	Number    int // among the control's steps, or among the moves of the component's part
}

// Shortest searches in one order, up to the first broken state, and remembers
// how each state was reached. Of the shortest ways it gives the one whose moves
// come first. It is an error if nothing is broken.
func Shortest(ctx context.Context, m Model) (*Trace, error) {
	t := &tracer{space: newSpace(m)}
	t.room.max = noBound
	w := newWorker(t.space)
	wanted, c, at := t.begin()
	t.states = []reached{{control: c}}
	t.at, t.scratch = at, make([]uint32, t.layout.comps)
	for n := 0; n < len(t.states); {
		if err := t.pass(wanted); err != nil {
			return nil, err
		}
		if t.room.full() {
			return nil, errors.New("search: too many states to find a way among them")
		}
		for level := len(t.states); n < level; n++ {
			if n%1024 == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			w.found = func(to *control, number uint64, mv step) {
				t.layout.places(&to.digits, number, t.scratch)
				t.at = append(t.at, t.scratch...)
				t.states = append(t.states, reached{to, n, mv})
			}
			c := t.states[n].control
			copy(w.at, t.places(n))
			if w.visit(c, t.layout.number(&c.digits, w.at)); w.broken {
				return t.trace(n), nil
			}
		}
		wanted, w.wanted = append(wanted[:0], w.wanted...), w.wanted[:0]
	}
	return nil, errors.New("search: no state is broken")
}

// tracer is a search in one order: the states in the order in which they were found.
type tracer struct {
	*space
	states  []reached
	at      []uint32 // the places of each, one after another
	scratch []uint32
}

// reached is a state, and how it was reached: from which one, by which move.
type reached struct {
	control *control
	from    int
	by      step
}

func (t *tracer) places(n int) []uint32 { return t.at[n*t.layout.comps:][:t.layout.comps] }

// trace is the way to what is broken, at or after the state numbered n. States have components that are alike in
// order; in the trace each keeps its number.
func (t *tracer) trace(n int) *Trace {
	var way []int
	for i := n; i > 0; i = t.states[i].from {
		way = append(way, i)
	}
	slices.Reverse(way)
	tr := &Trace{}
	comps, at := make([]int, t.layout.comps), slices.Clone(t.places(0))
	for i := range comps {
		comps[i] = i
	}
	for _, i := range way {
		from, by := t.states[t.states[i].from].control, t.states[i].by
		if by.component >= 0 {
			tr.Moves = append(tr.Moves, Move{comps[by.component], int(by.number)})
			at[by.component] = t.placeAt(from, by.component, at).moves[by.number]
		} else {
			tr.Moves = append(tr.Moves, Move{-1, int(by.number)})
			for k := range at {
				at[k] = t.placeAt(from, int32(k), at).after[by.number]
			}
		}
		t.layout.order(at, comps)
	}
	for k := range at {
		if p := t.placeAt(t.states[n].control, int32(k), at); p.broken {
			tr.Moves = append(tr.Moves, Move{comps[k], slices.Index(p.moves, nowhere)})
			break
		}
	}
	return tr
}

func (t *tracer) placeAt(c *control, component int32, at []uint32) *place {
	return &c.kinds[t.of[component]].at[at[component]]
}
