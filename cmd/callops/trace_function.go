package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/machine"
	"callops/trace"
)

// ringEntries is how many calls a trace holds; of more, the newest stay.
const ringEntries = trace.MaxSlots

// traceFunctions prints the calls that the function tracer saw, those of a
// call that failed as well.
func (t *tracing) traceFunctions(cmd *cobra.Command, out io.Writer, m *machine.Machine, traced func(onStep func(emu.CPU, *emu.Regs)) error) error {
	k, r := m.Kernel, m.Ftrace
	ring, err := trace.NewRing(k, 0, ringEntries)
	if err != nil {
		return err
	}
	o, err := t.newOps(cmd, r, "trace", r.Code().FunctionTracer, 0)
	if err != nil {
		return err
	}
	err = registered(r, o, func() error { return traced(nil) })
	calls := &trace.Functions{CPUs: 1, Events: ring.Read()}
	calls.Overrun = ring.Overrun() // which Read counts
	err = errors.Join(err, calls.WriteText(out, names{k}.function))
	fmt.Fprintln(out)
	return err
}
