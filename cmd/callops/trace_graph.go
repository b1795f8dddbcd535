package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernelimage/ctype"
	"callops/machine"
	"callops/trace"
)

// graphFlags are the flags of `callops trace` that belong to function_graph, and --args, which function
// has too.
type graphFlags struct {
	function, notrace []string
	depth             *number
	retval, args      bool
}

func newGraphFlags() graphFlags { return graphFlags{depth: &number{max: math.MaxInt32}} }

func (g *graphFlags) add(cmd *cobra.Command, complete cobra.CompletionFunc) {
	f := cmd.Flags()
	f.StringArrayVar(&g.function, "graph-function", nil, "function_graph: trace only within functions that match `GLOB` (repeatable)")
	f.StringArrayVar(&g.notrace, "graph-notrace", nil, "function_graph: trace nothing within functions that match `GLOB` (repeatable)")
	f.Var(g.depth, "max-depth", "function_graph: trace calls only to this depth; 0 is any")
	f.BoolVar(&g.retval, "retval", false, "function_graph: print what functions return")
	f.BoolVar(&g.args, "args", false, "function and function_graph: record arguments, and print them by their types")
	for _, name := range []string{"graph-function", "graph-notrace"} {
		_ = cmd.RegisterFlagCompletionFunc(name, complete) // the flag is there
	}
}

// check refuses flags that the tracer has no use for, and a core that it can't run on.
func (g *graphFlags) check(cmd *cobra.Command, tracer, core string) error {
	for _, name := range []string{"graph-function", "graph-notrace", "max-depth", "retval"} {
		if cmd.Flags().Changed(name) && tracer != tracerGraph {
			return usagef("--%s needs --tracer %s", name, tracerGraph)
		}
	}
	if (tracer == tracerGraph || tracer == tracerProfile) && core != coreOurs {
		return usagef("--tracer %s is a user of callops' own fgraph, and does not go with --core %s", tracer, core)
	}
	if g.args && tracer != tracerFunction && tracer != tracerGraph {
		return usagef("--args needs --tracer %s or %s", tracerFunction, tracerGraph)
	}
	return nil
}

// traceGraph runs the calls and returns what the function_graph tracer recorded, also
// of a call that failed.
func (t *tracing) traceGraph(cmd *cobra.Command, m *machine.Machine, traced func(onStep onStepFunc) error) (*trace.Recording, error) {
	r, err := t.graphRegistry(m)
	if err != nil {
		return nil, err
	}
	g, err := trace.NewGraph(m.Kernel, r, "trace", &trace.GraphOptions{Entries: wideEntries, Depth: int(t.graph.depth.value), Args: t.graph.args})
	if err != nil {
		return nil, err
	}
	if err := setFilters(cmd, m, g.Within, t.graph.function, t.graph.notrace); err != nil {
		return nil, err
	}
	if err := setFilters(cmd, m, g.Ops.Ops, t.filter, t.notrace); err != nil {
		return nil, err
	}
	if err := r.RegisterGraph(g.Ops); err != nil {
		return nil, err
	}
	g.Rings.Start()
	err = errors.Join(traced(nil), r.UnregisterGraph(g.Ops))
	return g.Read(), err
}

// graphRegistry is callops' core, whose fgraph the tracers use.
func (t *tracing) graphRegistry(m *machine.Machine) (*ftrace.Registry, error) {
	if t.flags.value != 0 {
		return nil, usagef("--ops-flags: the ops of --tracer %s is the kernel's own", t.tracer.value)
	}
	r, ok := m.Ftrace.(*ftrace.Registry)
	if !ok {
		return nil, fmt.Errorf("--tracer %s: %T has no fgraph: %w", t.tracer.value, m.Ftrace, errno.EOPNOTSUPP) // graphFlags.check lets none through
	}
	return r, nil
}

// traceProfile runs the calls and returns what their functions took, also
// of a call that failed.
func (t *tracing) traceProfile(cmd *cobra.Command, m *machine.Machine, traced func(onStep onStepFunc) error) ([]trace.Profiled, error) {
	r, err := t.graphRegistry(m)
	if err != nil {
		return nil, err
	}
	p, err := trace.NewProfile(m.Kernel, r, "profile")
	if err != nil {
		return nil, err
	}
	if err := setFilters(cmd, m, p.Ops.Ops, t.filter, t.notrace); err != nil {
		return nil, err
	}
	if err := r.RegisterGraph(p.Ops); err != nil {
		return nil, err
	}
	err = errors.Join(traced(nil), r.UnregisterGraph(p.Ops))
	functions, readErr := p.Read()
	return functions, errors.Join(err, readErr)
}

// symbols are the names and prototypes of the kernel's functions.
func (n names) symbols() *trace.Symbols {
	known := make(map[uint64]*ctype.Prototype)
	return &trace.Symbols{Name: n.function, Prototype: func(ip uint64) *ctype.Prototype {
		p, ok := known[ip]
		if !ok {
			p = n.prototype(ip)
			known[ip] = p
		}
		return p
	}}
}

// prototype is that of the function in which an address is; nil where it is not known.
func (n names) prototype(addr uint64) *ctype.Prototype {
	sym, _, ok := n.k.Symbols.At(addr)
	if !ok {
		return nil
	}
	name := sym.Name
	if sym.Module != "" {
		name = sym.Module + ":" + name
	}
	p, err := n.k.Prototype(name)
	if err != nil {
		return nil // nothing, or nothing certain, is known
	}
	return p
}
