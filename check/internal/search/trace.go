package search

import (
	"context"
	"errors"
	"slices"
)

// Shortest searches in one order, up to the first broken state, and remembers
// how each state was reached. Of the shortest ways it gives the one whose moves
// come first. It is an error if nothing is broken.
//
// It takes up no more memory than the search by Explore that found something.
func Shortest(ctx context.Context, m Model) (*Trace, error) {
	t := &tracer{m: m, seen: order{size: m.Size(), table: make([]uint32, firstSize)}}
	first := make([]byte, m.Size())
	m.Initial(first)
	t.add(first, 0, 0)
	out := Successors{size: m.Size()}
	for n := 0; n < t.seen.n; n++ {
		if n%batch == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out.reset()
		if err := m.Expand(t.seen.state(n), &out); err != nil {
			return nil, err
		}
		if out.isBroken() {
			return t.trace(n, &out), nil
		}
		for i, move := range out.at {
			t.add(out.next[i*out.size:(i+1)*out.size], n, move)
		}
		if t.seen.n > maxOrder {
			return nil, errors.New("search: too many states to find a way among them")
		}
	}
	return nil, errors.New("search: no state is broken")
}

type tracer struct {
	m    Model
	seen order
	from [][]step // as the states of seen
}

// step is how a state was reached: from which one, by which of its moves.
type step struct{ parent, move uint32 }

func (t *tracer) add(state []byte, parent, move int) {
	if !t.seen.add(state) {
		return
	}
	if last := len(t.from) - 1; last < 0 || len(t.from[last]) == batch {
		t.from = append(t.from, make([]step, 0, batch))
	}
	last := &t.from[len(t.from)-1]
	*last = append(*last, step{uint32(parent), uint32(move)})
}

// trace goes back from what is broken, which follows the state numbered n.
func (t *tracer) trace(n int, out *Successors) *Trace {
	tr := &Trace{}
	if out.broken >= 0 {
		tr.Moves = []int{out.broken}
	}
	for n > 0 {
		s := t.from[n/batch][n%batch]
		tr.Moves = append(tr.Moves, int(s.move))
		n = int(s.parent)
	}
	slices.Reverse(tr.Moves)
	return tr
}
