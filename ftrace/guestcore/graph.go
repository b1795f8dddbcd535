package guestcore

import (
	"errors"
	"fmt"

	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trampolines"
)

var _ ftrace.GraphCore = (*Core)(nil)

// NewGraphOps makes a user of the kernel's own fgraph: a struct fgraph_ops with these functions. EOPNOTSUPP before
// 6.11, where there is one user and no struct ftrace_ops of its own.
//
// The struct ftrace_graph_ret that retfunc is passed is the kernel's, which may have no retval.
func (c *Core) NewGraphOps(name string, h ftrace.GraphHandlers) (*ftrace.GraphOps, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.k.Layout.Ops.SubopList == kernelimage.Absent {
		return nil, fmt.Errorf("graph ops %s: %s is older than 6.11, and its fgraph has one user: %w", name, c.k.Image.Name(), errno.EOPNOTSUPP)
	}
	if h.Entry == 0 || h.Return == 0 {
		return nil, fmt.Errorf("graph ops %s: entryfunc %#x, retfunc %#x: %w", name, h.Entry, h.Return, errno.EINVAL)
	}
	if err := c.readyForGraph(); err != nil {
		return nil, fmt.Errorf("graph ops %s: %w", name, err)
	}
	l := trampolines.GraphOpsOf(c.k.Layout)
	addr, err := c.k.Heap.Alloc("graph ops "+name, uint64(l.Size))
	if err != nil {
		return nil, err
	}
	b := make([]byte, l.Size)
	put64(b, l.EntryFunc, h.Entry)
	put64(b, l.RetFunc, h.Return)
	put64(b, l.Private, h.Private)
	if err := c.k.Mem.Write(addr, b); err != nil {
		return nil, err
	}
	o := ftrace.GuestOps(name, addr+uint64(l.Ops), c.k.Mem, &c.k.Layout.Ops)
	c.all.Store(o.Addr(), o)
	return ftrace.GuestGraphOps(o, addr), nil
}

// readyForGraph makes the kernel what register_ftrace_graph finds in a booted one: each CPU has an idle task, which is the
// CPU's first, and static keys can be switched.
func (c *Core) readyForGraph() error {
	queues, err := c.k.Symbol("runqueues")
	if err != nil {
		return err
	}
	keys, err := c.k.Symbol("static_key_initialized")
	if err != nil {
		return err
	}
	idle, err := c.offsetOf("rq", "idle")
	if err != nil {
		return err
	}
	handlers := c.k.Image.SymbolTable().Called("return_to_handler")
	if len(handlers) == 0 {
		return &MissingError{c.k.Image.Name(), []string{"return_to_handler"}}
	}
	ret, err := c.offsetOf("ftrace_ret_stack", "ret")
	if err != nil {
		return err
	}
	retp, err := c.offsetOf("ftrace_ret_stack", "retp")
	if err != nil {
		return err
	}
	stacks := &ftrace.ReturnStack{Kernel: c.k, Handler: handlers[0].Addr, Ret: ret, RetP: retp}
	c.k.RecoverReturns(stacks.Addr)
	errs := []error{c.k.Mem.Write(keys.Addr, []byte{1})}
	for _, cpu := range c.k.CPUs {
		errs = append(errs, c.k.Mem.Store64(queues.Addr+cpu.PerCPU+idle, cpu.Task))
	}
	return errors.Join(errs...)
}

// offsetOf is where a structure has a field.
func (c *Core) offsetOf(structure, field string) (uint64, error) {
	list, err := c.k.Image.Structures(func(name string) bool { return name == structure })
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		for _, f := range s.Fields {
			if f.Name == field {
				return uint64(f.Offset), nil
			}
		}
	}
	return 0, fmt.Errorf("%s has no %s.%s: %w", c.k.Image.Name(), structure, field, errno.ENOENT)
}

// RegisterGraph is register_ftrace_graph. A task that is made later has no return stack, and is not traced.
func (c *Core) RegisterGraph(g *ftrace.GraphOps) error {
	return c.onGraph(g, "register_ftrace_graph", func(name string, addr uint64) error { return c.status(name, addr, g.Addr()) })
}

// UnregisterGraph is unregister_ftrace_graph, which returns nothing.
func (c *Core) UnregisterGraph(g *ftrace.GraphOps) error {
	return c.onGraph(g, "unregister_ftrace_graph", func(name string, addr uint64) error {
		_, err := c.call(name, addr, g.Addr())
		return err
	})
}

func (c *Core) onGraph(g *ftrace.GraphOps, name string, run func(name string, addr uint64) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g == nil {
		return fmt.Errorf("no graph ops: %w", errno.EINVAL)
	}
	if err := c.known(g.Ops); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	addr, err := c.k.Func(name)
	if err == nil {
		err = run(name, addr)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, g, err)
	}
	return nil
}

// FreeGraphOps frees a user that is not registered, with its filters.
func (c *Core) FreeGraphOps(g *ftrace.GraphOps) error {
	if g == nil {
		return fmt.Errorf("no graph ops: %w", errno.EINVAL)
	}
	if g.Ops.Flags()&ftrace.OpsEnabled != 0 {
		return fmt.Errorf("free of %s, which is registered: %w", g, errno.EBUSY)
	}
	if err := c.FreeFilter(g.Ops); err != nil {
		return err
	}
	c.all.Delete(g.Ops.Addr())
	return c.k.Heap.Free(g.Addr())
}
