package guest

import (
	"callops/check/internal/weak"
	"callops/check/property"
)

// Kind is what a CPU is about to do.
type Kind uint8

// Kinds of nodes.
const (
	Between Kind = iota // stands between two calls, and may leave its CPU
	Run                 // executes the instruction at PC
	Gate                // has called a Go function, and waits for it
	End                 // the call has returned
	Done                // all calls are made
	Bad                 // did what it must not, which is in Broken
)

// Node is what a task is about to do, and all that is its own.
type Node struct {
	ID   uint32
	Kind Kind
	PC   uint64
	Gate uint64 // of kind Gate: its address

	// Preemptible reports whether the task's preempt_count is 0.
	Preemptible bool

	// Fetch is the location that the instruction word itself is in, or -1.
	Fetch int

	// Loads are the locations that the instruction reads, in address order.
	Loads []Load

	// Uses are the objects, by number, that the instruction reads, writes or
	// is fetched from.
	Uses []int

	Call   int              // which call
	Seen   Counts           // what has been called within it
	Broken *property.Broken // of kind Bad

	fetched bool  // Uses is where it is fetched from, and no more
	state   state // unless Between, Done or Bad
	edges   []edge

	// later are the locations that may be read from here on, as far as is known.
	later [liveWords]uint64
	from  []*Node // nodes that lead here
}

// MaxLocations is how many locations may be stored to.
const (
	MaxLocations = 64 * liveWords
	liveWords    = 4
)

// MayRead reports whether the task may read or fetch a location from here on.
func (n *Node) MayRead(loc int) bool {
	return n.later[loc/64]>>(loc%64)&1 != 0
}

// reads notes that a location is read.
func (n *Node) reads(loc int) { n.later[loc/64] |= 1 << (loc % 64) }

// inherit adds what may be read after to, and reports whether that was news.
func (n *Node) inherit(to *Node) (news bool) {
	for i := range n.later {
		have := n.later[i]
		n.later[i] |= to.later[i]
		news = news || n.later[i] != have
	}
	return news
}

// leadsTo notes that one node follows another, and what that means for those
// before it. It reports whether it meant anything.
func (n *Node) leadsTo(to *Node) bool {
	to.from = append(to.from, n)
	if !n.inherit(to) {
		return false
	}
	for work := []*Node{n}; len(work) > 0; {
		at := work[len(work)-1]
		work = work[:len(work)-1]
		for _, f := range at.from {
			if f.inherit(at) {
				work = append(work, f)
			}
		}
	}
	return true
}

// Load is a read of a location that is written at some time.
type Load struct {
	Loc   int
	After weak.Time // what its address depends on has been seen up to then
}

// Counts is how often each ops was called, four bits an ops.
type Counts uint64

// Of returns how often ops number i was called, at most 15 times.
func (c Counts) Of(i int) int { return int(c >> (4 * i) & 15) }

// Plus counts one call of ops number i.
func (c Counts) Plus(i int) Counts {
	if c.Of(i) == 15 {
		return c
	}
	return c + 1<<(4*i)
}

// Input is what an instruction sees: the version of each of its locations, one
// byte each, the first in the lowest.
type Input uint32

// MaxLoads is how many locations one instruction may read.
const MaxLoads = 4

// With adds the version of the n-th location.
func (in Input) With(n int, v weak.Version) Input { return in | Input(v)<<(8*n) }

// Version returns that of the n-th location.
func (in Input) Version(n int) weak.Version { return weak.Version(in >> (8 * n)) }

type edge struct {
	in Input
	to *Node
}

// find returns what follows an input, if it has been asked for before.
func (n *Node) find(in Input) *Node {
	for i := range n.edges {
		if n.edges[i].in == in {
			return n.edges[i].to
		}
	}
	return nil
}
