package search

import (
	"context"
	"fmt"
)

// Shortest searches in one order, up to the first broken state, and remembers
// how each state was reached. Of the shortest ways it gives the one whose moves
// come first. It is an error if nothing is broken.
func Shortest(ctx context.Context, m Model) (*Trace, error) {
	t := &tracer{m: m, size: m.Size(), seen: newStore(m.Size())}
	first := make([]byte, t.size)
	m.Initial(first)
	t.add(first, -1, 0)
	out := Successors{size: t.size}
	for n := 0; n < len(t.from); n++ {
		if n%batch == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out.reset()
		if err := m.Expand(t.state(n), &out); err != nil {
			return nil, err
		}
		if out.isBroken() {
			return t.trace(n, &out), nil
		}
		for i, move := range out.at {
			t.add(out.next[i*t.size:(i+1)*t.size], n, move)
		}
	}
	return nil, fmt.Errorf("search: no state is broken")
}

type tracer struct {
	m      Model
	size   int
	seen   *store
	packed []uint64
	states []byte
	from   []step
}

type step struct{ parent, move int }

func (t *tracer) state(n int) []byte { return t.states[n*t.size : (n+1)*t.size] }

func (t *tracer) add(state []byte, parent, move int) {
	if t.packed = t.seen.pack(t.packed, state); t.seen.add(t.packed) {
		t.states = append(t.states, state...)
		t.from = append(t.from, step{parent, move})
	}
}

// trace goes back from the state numbered n.
func (t *tracer) trace(n int, out *Successors) *Trace {
	tr := &Trace{}
	if out.broken >= 0 {
		tr.Moves = []int{out.broken}
	}
	for ; t.from[n].parent >= 0; n = t.from[n].parent {
		tr.Moves = append([]int{t.from[n].move}, tr.Moves...)
	}
	return tr
}
