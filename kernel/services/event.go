package services

import (
	"fmt"

	"callops/emu"
	"callops/kernel"
)

// EventKind is what a service did.
type EventKind uint8

// The events.
const (
	GraceBegan     EventKind = iota // a grace period of Event.Grace began
	GraceEnded                      // what Event.Func waited for it has gone on
	CallbackQueued                  // Event.Addr is the function, Event.Value the rcu_head
	CallbackRun                     // so, before it runs
	Interrupted                     // Event.Addr is the function that CPU Event.Value is to run
	TextWritten                     // Event.Size bytes at Event.Addr became Event.Value
	TextMaintained                  // Event.Size bytes at Event.Addr are clean to the point of unification
	Warned                          // a WARN() at Event.Addr
	numEventKinds
)

var eventNames = [numEventKinds]string{
	GraceBegan: "grace period began", GraceEnded: "grace period ended", CallbackQueued: "callback queued", CallbackRun: "callback run",
	Interrupted: "IPI", TextWritten: "text written", TextMaintained: "caches maintained", Warned: "WARN",
}

func (k EventKind) String() string {
	if k >= numEventKinds {
		return "no event"
	}
	return eventNames[k]
}

// Event is something that services did for guest code, in the order of the calls on
// each CPU. Two runs of one operation have the same events where they differ in
// nothing that another CPU could see of the services.
type Event struct {
	Kind  EventKind
	CPU   int
	Func  string    // the kernel's function that was asked; "" for a WARN
	Grace GraceKind // of a grace period or of a callback
	Addr  uint64
	Value uint64
	Size  int
}

func (e Event) String() string {
	switch e.Kind {
	case GraceBegan, GraceEnded:
		return fmt.Sprintf("CPU %d: %s: %s (%s)", e.CPU, e.Kind, e.Grace, e.Func)
	case CallbackQueued, CallbackRun:
		return fmt.Sprintf("CPU %d: %s: %#x of %#x, after %s", e.CPU, e.Kind, e.Addr, e.Value, e.Grace)
	case Interrupted:
		return fmt.Sprintf("CPU %d: %s to CPU %d: %#x", e.CPU, e.Kind, e.Value, e.Addr)
	case TextWritten:
		return fmt.Sprintf("CPU %d: %s: %#x = %#0*x", e.CPU, e.Kind, e.Addr, 2+2*e.Size, e.Value)
	}
	if e.Kind == Warned {
		return e.Func
	}
	return fmt.Sprintf("%s: %#x, %d bytes", e.Kind, e.Addr, e.Size)
}

// Warned tells of a WARN(), which the kernel's own handler is given: see
// [kernel.BootOptions].
func (s *Services) Warned(b *kernel.Bug) {
	if s.opts.Event != nil {
		s.opts.Event(Event{Kind: Warned, CPU: b.CPU, Func: b.String(), Addr: b.Addr})
	}
}

// event tells of one.
func (s *Services) event(cpu emu.CPU, e Event) {
	if s.opts.Event == nil {
		return
	}
	e.CPU = cpu.ID()
	s.opts.Event(e)
}
