package check

import (
	"callops/check/internal/weak"
	"callops/sched"
)

// stepKind is what the core does to the machine.
type stepKind uint8

const (
	stepBegin     stepKind = iota // an operation begins: ftrace_lock is taken
	stepEnd                       // and has returned
	stepStore                     // a store to data
	stepText                      // a store to an instruction
	stepOrder                     // smp_wmb
	stepClean                     // an instruction is cleaned and invalidated
	stepInterrupt                 // every CPU is interrupted
	stepAnswered                  // and has answered
	stepWait                      // a grace period begins
	stepWaited                    // and has ended
	stepCall                      // call_rcu
	stepFree                      // memory is given back
)

// step is one thing that the core does; a comparable value.
type step struct {
	Kind    stepKind
	Op      int // of stepBegin and stepEnd: the operation, by its number
	Addr    uint64
	Size    uint64
	Value   uint64
	Old     uint64 // what Addr held before
	Release bool
	Literal bool       // it is a literal that is stored
	Whole   int        // see weak.Event
	Wait    sched.Kind // of stepWait, stepWaited and stepCall
	Call    int        // of stepCall: the callback's number
	Name    string     // what is freed
}

// event is what the step is to memory.
func (s *step) event() weak.Event {
	switch s.Kind {
	case stepStore, stepText:
		kind := weak.Store
		if s.Release {
			kind = weak.Release
		}
		return weak.Event{Kind: kind, Addr: s.Addr, Size: s.Size, Value: s.Value, Whole: s.Whole}
	case stepOrder:
		return weak.Event{Kind: weak.Order}
	case stepClean:
		return weak.Event{Kind: weak.Clean, Addr: s.Addr, Size: s.Size}
	case stepBegin, stepEnd, stepInterrupt, stepAnswered, stepWait, stepWaited:
		// Taking and giving back a lock orders all, for who learns of it: that an
		// operation has returned means nothing to others. So does a grace period on
		// either side, and an interrupt that was answered.
		return weak.Event{Kind: weak.Complete}
	}
	return weak.Event{}
}
