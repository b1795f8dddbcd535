package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"callops/asm"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/trampolines"
)

// graphUsers are the rows of TracerGraph when nothing else is asked for.
var graphUsers = []int{1, 2, 4, 8, trampolines.MaxGraphUsers}

// graphRig makes relevant ops users of fgraph.
type graphRig struct {
	core     ftrace.GraphCore
	handlers ftrace.GraphHandlers
	users    map[*ftrace.Ops]*ftrace.GraphOps
}

// newGraphRig places the users' functions: entryfunc wants the return, and neither does anything else. They
// lie in a module, so like the sample's tracers they have the two instructions of a call site.
func newGraphRig(core ftrace.Core, k *kernel.Kernel) (*graphRig, error) {
	graph, ok := core.(ftrace.GraphCore)
	if !ok {
		return nil, fmt.Errorf("tracer %s: this core has no fgraph: %w", TracerGraph, errno.EOPNOTSUPP)
	}
	g := &graphRig{core: graph, users: make(map[*ftrace.Ops]*ftrace.GraphOps)}
	for _, f := range []struct {
		name string
		at   *uint64
		body []asm.Inst
	}{
		{"graph_entry_nop", &g.handlers.Entry, []asm.Inst{asm.Movz(asm.W0, 1, 0)}},
		{"graph_return_nop", &g.handlers.Return, nil},
	} {
		p, err := k.PlaceCode(f.name, kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
			b := asm.NewBuilder()
			b.Func(f.name)
			if k.Image.BTI() {
				b.Emit(asm.Bti(asm.BTIC))
			}
			b.Emit(asm.Mov(asm.X9, asm.LR), asm.Nop())
			b.Emit(f.body...)
			b.Emit(asm.Ret())
			b.EndFunc()
			return b.Assemble(base)
		})
		if err != nil {
			return nil, err
		}
		*f.at = p.Base
	}
	return g, nil
}

// register makes n users with a filter of one site each, and registers them. Those it returns are to be released, on an
// error too.
func (g *graphRig) register(ctx context.Context, core ftrace.Core, ip uint64, n int) ([]*ftrace.Ops, error) {
	var made []*ftrace.Ops
	for i := range n {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		u, err := g.core.NewGraphOps(fmt.Sprintf("user%d", i), g.handlers)
		if err != nil {
			return made, err
		}
		g.users[u.Ops] = u
		made = append(made, u.Ops)
		if err := core.SetFilterIP(u.Ops, ip, nil); err != nil {
			return made, err
		}
		if err := g.core.RegisterGraph(u); err != nil {
			return made, err
		}
	}
	return made, nil
}

func (g *graphRig) release(ops []*ftrace.Ops) error {
	for _, o := range slices.Backward(ops) {
		u := g.users[o]
		delete(g.users, o)
		if o.Flags()&ftrace.OpsEnabled != 0 {
			if err := g.core.UnregisterGraph(u); err != nil {
				return err
			}
		}
		if err := g.core.FreeGraphOps(u); err != nil {
			return err
		}
	}
	return nil
}

// checkGraph refuses what goes with no graph users.
func (c *Config) checkGraph() error {
	if c.Tracer != TracerGraph {
		return nil
	}
	var errs []error
	if c.OpsFlags != 0 {
		errs = append(errs, fmt.Errorf("ops flags: those of graph_ops are the kernel's: %w", errno.EINVAL))
	}
	for _, n := range c.Relevant {
		if n > trampolines.MaxGraphUsers {
			errs = append(errs, fmt.Errorf("%d graph users, there are at most %d: %w", n, trampolines.MaxGraphUsers, errno.ENOSPC))
		}
	}
	if slices.ContainsFunc(c.IrrelevantCounts, func(n int) bool { return n > 0 }) {
		errs = append(errs, fmt.Errorf("irrelevant ops: a graph user elsewhere is one of the sixteen: %w", errno.EINVAL))
	}
	return errors.Join(errs...)
}
