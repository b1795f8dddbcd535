package check

import (
	"callops/ftrace"
	"callops/kernelimage"
	"callops/trampolines"
)

// Mutation is a fault built in on purpose, to show that the checker finds it.
type Mutation struct {
	Name     string
	About    string // what is wrong
	Scenario string // where that shows

	// Harmless says what covers for the fault, where nothing goes wrong by it.
	Harmless string

	trampoline trampolines.Fault
	core       ftrace.Fault
	image      func(*kernelimage.Image) error
	preempts   bool // it shows only where tasks can be preempted
	liveInit   bool // call sites are prepared while CPUs run

	// steps changes what the core does in one operation.
	steps func(m *machine, steps []step) []step
}

// none is no fault.
var none = &Mutation{}

func (m *Mutation) apply(on *machine, steps []step) []step {
	if m.steps == nil {
		return steps
	}
	return m.steps(on, steps)
}

// without leaves out the steps that drop names.
func without(drop func(m *machine, s *step) bool) func(*machine, []step) []step {
	return func(m *machine, steps []step) []step {
		var kept []step
		for i := range steps {
			if !drop(m, &steps[i]) {
				kept = append(kept, steps[i])
			}
		}
		return kept
	}
}

func isWait(s *step) bool { return s.Kind == stepWait || s.Kind == stepWaited }
