package weak

import "fmt"

// Time is a node of a [History]: everything on the way from its beginning to
// there has been issued. Along a branch times grow.
type Time uint16

// maxTime bounds a history.
const maxTime = 1<<16 - 1

// Kind is what a writer does.
type Kind uint8

// Kinds of events.
const (
	Nothing  Kind = iota // nothing that memory knows of
	Store                // a single-copy atomic store, which orders nothing
	Release              // a store after all earlier accesses (STLR, rcu_assign_pointer)
	Order                // earlier stores before later ones (DMB ISHST, smp_wmb)
	Complete             // earlier stores are visible to everybody from here on (DSB)
	Clean                // Complete, and instructions in a range are cleaned and invalidated (DC CVAU, IC IVAU)
)

// Event is one node of a History.
type Event struct {
	Kind  Kind
	Addr  uint64
	Size  uint64 // of a store 4 or 8, for Clean of the range
	Value uint64

	// Whole numbers the value that a store is a part of, where a value is
	// stored in parts; 0 for one that is stored at once.
	Whole int
}

type node struct {
	Event
	parent   Time
	ordered  Time // all up to it is ordered before what comes next
	complete Time // all up to it is visible to a CPU that synchronises now
}

// History is everything that writers do, in all orders that they may come in.
// Build it with Append, then Freeze it; from then on it may be shared.
type History struct {
	nodes []node
	locs  []Location
	byPos map[uint64]int // a location, by the address of each of its 4-byte words
	data  []Time         // see Canon
	text  []Time
}

// New returns a history in which nothing has happened; its beginning is time 0.
func New() *History { return &History{nodes: make([]node, 1)} }

// Append adds what happens next after parent. Stores are to words or
// doublewords, at multiples of 4.
func (h *History) Append(parent Time, e Event) (Time, error) {
	if len(h.nodes) > maxTime {
		return 0, fmt.Errorf("history: more than %d events", maxTime)
	}
	if store := e.Kind == Store || e.Kind == Release; store && (e.Addr%4 != 0 || e.Size != 4 && e.Size != 8) {
		return 0, fmt.Errorf("history: a store of %d bytes at %#x: only words and doublewords are known", e.Size, e.Addr)
	}
	up := h.nodes[parent]
	n := node{Event: e, parent: parent, ordered: up.ordered, complete: up.complete}
	t := Time(len(h.nodes))
	switch e.Kind {
	case Order:
		n.ordered = t
	case Complete, Clean:
		n.ordered, n.complete = t, t
	}
	h.nodes = append(h.nodes, n)
	return t, nil
}

// Len is one more than the last time.
func (h *History) Len() int { return len(h.nodes) }

// Event is what happened at t.
func (h *History) Event(t Time) Event { return h.nodes[t].Event }

// Parent is the time before t; of 0 it is 0.
func (h *History) Parent(t Time) Time { return h.nodes[t].parent }

// Completed is up to when all data stores are visible to a CPU that takes a
// barrier at t. Those since may still be on their way.
func (h *History) Completed(t Time) Time { return h.nodes[t].complete }
