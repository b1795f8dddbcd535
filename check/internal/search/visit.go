package search

// worker visits states, and adds what follows them to the next level.
type worker struct {
	s           *space
	at          []uint32 // the state's places, by component
	places      []*place // and what is known of them
	next        []uint32 // scratch
	row         [2]uint64
	states      int
	transitions int
	broken      bool
	wanted      []want

	// found, if not nil, is told of each state that is new: what it is, and the
	// move that led there.
	found func(c *control, n uint64, mv step)
}

// step is a step of the control, or a component's move: its number among those that its place has.
type step struct {
	component int32 // the one at this place of the state; -1: the control
	number    uint32
}

func newWorker(s *space) *worker {
	n := s.layout.comps
	return &worker{s: s, at: make([]uint32, n), places: make([]*place, n), next: make([]uint32, n)}
}

// span visits the states of a page.
func (w *worker) span(sp *span) {
	w.row = [2]uint64{}
	for i := range sp.page {
		fresh := sp.page[i].fresh
		for n := sp.first + uint64(i)*64; fresh != 0; n, fresh = n+1, fresh>>1 {
			if fresh&1 != 0 {
				w.seek(sp.control, n)
				w.visit(sp.control, n)
			}
		}
	}
}

// seek finds the places of a state. Numbers that follow one another are often a row, in which the first
// component's place grows and the others' stay.
func (w *worker) seek(c *control, n uint64) {
	if n >= w.row[0] && n < w.row[1] {
		w.at[0] = uint32(n - w.row[0])
		return
	}
	w.s.layout.places(&c.digits, n, w.at)
	w.row[0] = n - uint64(w.at[0])
	switch {
	case w.s.layout.groups[0].size > 1:
		w.row[1] = w.row[0] + uint64(w.at[1]) + 1
	case len(w.s.layout.groups) > 1:
		w.row[1] = w.row[0] + c.digits.stride[1]
	default:
		w.row[1] = c.digits.total
	}
}

// visit finds the successors of the state at w.at.
func (w *worker) visit(c *control, n uint64) {
	some, all, moves := Marks(0), Done, 0
	for i, p := range w.at {
		pl := &c.kinds[w.s.of[i]].at[p]
		if pl.broken {
			w.broken = true
			return
		}
		w.places[i] = pl
		some, all, moves = some|pl.marks, all&pl.marks, moves+len(pl.moves)
	}
	for i := range c.steps {
		if c.steps[i].Open(some) {
			moves++
			w.step(c, i)
		}
	}
	if moves == 0 && (all != Done || c.waits) {
		w.broken = true
		return
	}
	w.transitions += moves
	for i := range w.s.layout.groups {
		g := &w.s.layout.groups[i]
		at, stride := w.at[g.first:g.first+g.size], c.digits.stride[i]
		rest := n - stride*w.s.layout.digit(at)
		for k := range at {
			for number, to := range w.places[g.first+k].moves {
				if next := rest + stride*w.s.layout.replaced(at, k, to); c.set.add(next) {
					w.states++
					w.wanted = c.kinds[g.kind].want(w.wanted, c, g.kind, to)
					if w.found != nil {
						w.found(c, next, step{int32(g.first + k), uint32(number)})
					}
				}
			}
		}
	}
}

// step makes a step of the control.
func (w *worker) step(c *control, number int) {
	to := c.to[number]
	for i, p := range w.places {
		w.next[i] = p.after[number]
	}
	w.s.layout.order(w.next, nil)
	n := w.s.layout.number(&to.digits, w.next)
	if !to.set.add(n) {
		return
	}
	w.states++
	for i, p := range w.next {
		w.wanted = to.kinds[w.s.of[i]].want(w.wanted, to, w.s.of[i], p)
	}
	if w.found != nil {
		w.found(to, n, step{-1, uint32(number)})
	}
}
