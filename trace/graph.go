package trace

import (
	"fmt"
	"maps"
	"sync"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/trampolines"
)

// GraphOptions are those of a function_graph tracer; nil is what Linux starts with.
type GraphOptions struct {
	Entries int  // of the rings of all CPUs together; 0: MaxSlots/2
	Depth   int  // max_graph_depth: calls at this depth and deeper are not traced; 0: all are
	Args    bool // record arguments (funcgraph-args)
}

// Graph is a function_graph tracer, in machine code: an instance with filters, rings and a depth of its own,
// one of up to 16 users of fgraph.
type Graph struct {
	// Ops is registered with [ftrace.Registry.RegisterGraph]. Its filters say which functions are traced.
	Ops *ftrace.GraphOps

	// Within has set_graph_function as its filter, and set_graph_notrace as its notrace hash: only what these functions
	// call, and nothing that those call, is traced. It is never registered.
	Within *ftrace.Ops

	// Rings are read once the tracer is unregistered, or while it runs.
	Rings Rings

	mu    sync.Mutex
	tasks map[uint32]string
}

// NewGraph makes a function_graph tracer. EOPNOTSUPP where the kernel's tasks have no return stack, EINVAL for a
// negative depth.
func NewGraph(k *kernel.Kernel, r *ftrace.Registry, name string, opts *GraphOptions) (*Graph, error) {
	if opts == nil {
		opts = &GraphOptions{}
	}
	if opts.Depth < 0 || opts.Entries < 0 || opts.Entries > MaxSlots {
		return nil, fmt.Errorf("graph tracer %s: depth %d, %d entries: %w", name, opts.Depth, opts.Entries, errno.EINVAL)
	}
	code := r.Code()
	if code.GraphTraceEntry == 0 {
		return nil, fmt.Errorf("graph tracer %s: tasks have no return stack: %w", name, errno.EOPNOTSUPP)
	}
	entries := opts.Entries
	if entries == 0 {
		entries = MaxSlots / 2
	}
	g := &Graph{tasks: make(map[uint32]string)}
	var err error
	if g.Rings, err = newRings(k, entries, wide); err != nil {
		return nil, err
	}
	if g.Within, err = r.NewOps(name+", graph functions", code.Stub, nil); err != nil {
		return nil, err
	}
	instance, err := k.AllocData("graph_instance", trampolines.InstanceRings+8*kernel.MaxCPUs, emu.Read|emu.Write)
	if err != nil {
		return nil, err
	}
	flags := uint64(opts.Depth)
	if opts.Args {
		flags |= 1 << 32
	}
	if err := k.Mem.Store64(instance+trampolines.InstanceDepth, flags); err != nil {
		return nil, err
	}
	if err := k.Mem.Store64(instance+trampolines.InstanceFilters, g.Within.Addr()); err != nil {
		return nil, err
	}
	for cpu, ring := range g.Rings {
		if err := k.Mem.Store64(instance+trampolines.InstanceRings+8*uint64(cpu), ring.base); err != nil {
			return nil, err
		}
	}
	if g.Ops, err = r.NewGraphOps(name, ftrace.GraphHandlers{Entry: code.GraphTraceEntry, Return: code.GraphTraceReturn, Private: instance}); err != nil {
		return nil, err
	}
	return g, k.WatchTasks(func(t *kernel.Task, gone bool) error { return g.nameTask(k, t, gone) })
}

// nameTask keeps the names of tasks (saved_cmdlines).
func (g *Graph) nameTask(k *kernel.Kernel, t *kernel.Task, gone bool) error {
	if gone {
		return nil
	}
	pid, comm, err := k.TaskName(t.Addr)
	g.mu.Lock()
	g.tasks[pid] = comm
	g.mu.Unlock()
	return err
}

// Read returns what was recorded since the last Read.
func (g *Graph) Read() *Recording {
	rec := g.Rings.Read()
	g.mu.Lock()
	defer g.mu.Unlock()
	rec.Tasks = maps.Clone(g.tasks)
	return rec
}
