package main

import (
	"github.com/spf13/cobra"

	"callops/machine"
	"callops/trace"
)

// ringEntries is the number of calls that a trace holds; the oldest are
// overwritten.
const ringEntries = trace.MaxSlots

// wideEntries is the number of events that one with arguments or returns holds.
const wideEntries = trace.MaxSlots / 2

// traceFunctions runs the calls and returns what the function tracer recorded, also
// of a call that failed.
func (t *tracing) traceFunctions(cmd *cobra.Command, m *machine.Machine, traced func(onStep onStepFunc) error) (*trace.Recording, error) {
	newRings, entries, fn := trace.NewRings, ringEntries, m.Ftrace.Code().FunctionTracer
	if t.graph.args {
		newRings, entries, fn = trace.NewArgsRings, wideEntries, m.Ftrace.Code().FunctionArgsTracer
	}
	rings, err := newRings(m.Kernel, entries)
	if err != nil {
		return nil, err
	}
	o, err := t.newOps(cmd, m, "trace", fn, 0)
	if err != nil {
		return nil, err
	}
	err = registered(m.Ftrace, o, func() error {
		rings.Start()
		return traced(nil)
	})
	return rings.Read(), err
}
