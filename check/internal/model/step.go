package model

import (
	"callops/check/event"
	"callops/check/internal/weak"
	"callops/sched"
)

// Step is one thing that the core does; a comparable value.
type Step struct {
	Kind    event.Kind
	PC      uint64 // of the instruction that does it; 0 where the core is callops'
	Insns   int    // how many were executed since the step before, that one included
	Op      int    // of an operation that begins or returns: its number
	Addr    uint64
	Size    uint64
	Value   uint64
	Old     uint64 // what Addr held before
	Release bool
	Literal bool       // it is a literal that is stored
	Whole   int        // see weak.Event
	Wait    sched.Kind // of a grace period, and of a callback
	Call    int        // of CallRCU: the callback's number
	Name    string     // what is freed
}

// toMemory is what the step is to memory.
func (s *Step) toMemory() weak.Event {
	switch s.Kind {
	case event.Store, event.StoreText:
		kind := weak.Store
		if s.Release {
			kind = weak.Release
		}
		return weak.Event{Kind: kind, Addr: s.Addr, Size: s.Size, Value: s.Value, Whole: s.Whole}
	case event.WriteBarrier:
		return weak.Event{Kind: weak.Order}
	case event.DataBarrier:
		return weak.Event{Kind: weak.Complete}
	case event.CleanText:
		return weak.Event{Kind: weak.Clean, Addr: s.Addr, Size: s.Size}
	case event.OperationBegins, event.OperationReturns, event.InterruptAll, event.AllAnswered, event.GraceBegins, event.GraceEnds:
		// Taking and giving back a lock orders all, for a CPU that learns of it: that an
		// operation has returned means nothing to others. So does a grace period on
		// either side, and an interrupt that was answered.
		return weak.Event{Kind: weak.Complete}
	}
	return weak.Event{}
}
