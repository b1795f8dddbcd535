package search

// Model is what is searched. Expand may be called by several goroutines.
type Model interface {
	// Size is the length of every state, in bytes.
	Size() int

	// Initial fills in the state that all begins in.
	Initial(state []byte)

	// Expand gives out each successor of a state, in an order that depends on
	// nothing but the state.
	Expand(state []byte, out *Successors) error
}

// Successors takes what follows a state.
type Successors struct {
	size  int
	moves int    // given out, broken ones too
	next  []byte // the states, one after another
	at    []int  // the move that each came by

	// Local is for the model to keep what it likes: each worker has one of its
	// own.
	Local any

	broken int // the first move that breaks something; -1: none does
	final  bool
}

// reset makes room for the successors of another state.
func (s *Successors) reset() {
	s.next, s.at = s.next[:0], s.at[:0]
	s.moves, s.broken, s.final = 0, -1, false
}

// Add makes a successor out of a copy of state and returns it to be changed.
func (s *Successors) Add(state []byte) []byte {
	s.at = append(s.at, s.moves)
	s.moves++
	s.next = append(s.next, state...)
	return s.next[len(s.next)-s.size:]
}

// Break notes that the next move breaks what must hold.
func (s *Successors) Break() {
	if s.broken < 0 {
		s.broken = s.moves
	}
	s.moves++
}

// Final notes that nothing has to follow the state: it is where all should end.
func (s *Successors) Final() { s.final = true }
