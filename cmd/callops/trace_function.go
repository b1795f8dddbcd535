package main

import (
	"github.com/spf13/cobra"

	"callops/machine"
	"callops/trace"
)

// ringEntries is the number of calls that a trace holds; the oldest are
// overwritten.
const ringEntries = trace.MaxSlots

// traceFunctions runs the calls and returns what the function tracer recorded, also
// of a call that failed.
func (t *tracing) traceFunctions(cmd *cobra.Command, m *machine.Machine, traced func(onStep onStepFunc) error) (*trace.Recording, error) {
	rings, err := trace.NewRings(m.Kernel, ringEntries)
	if err != nil {
		return nil, err
	}
	o, err := t.newOps(cmd, m, "trace", m.Ftrace.Code().FunctionTracer, 0)
	if err != nil {
		return nil, err
	}
	err = registered(m.Ftrace, o, func() error {
		rings.Start()
		return traced(nil)
	})
	return rings.Read(), err
}
