package schedule

import (
	"context"
	"fmt"

	"callops/internal/errno"
)

// filtered is an ops that is to trace the tracee.
func (s *Setup) filtered(ctx context.Context, name string) (*Probe, error) {
	p, err := s.Ops(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	return p, s.Filter(ctx, p, tracee)
}

// Register is the step that registers an ops whose filter is a function: it sees each call from then on.
func (p *Probe) Register(fn string) Step {
	return Step{
		Name: "register " + p.Name, Func: "register_ftrace_function", Args: []uint64{p.Ops},
		Begin: []Change{{p, fn, Maybe}}, End: []Change{{p, fn, Always}},
	}
}

// Unregister is the step that unregisters it. It waits for those that are about to call the ops, which may be freed then.
func (p *Probe) Unregister(fn string) Step {
	return Step{
		Name: "unregister " + p.Name, Func: "unregister_ftrace_function", Args: []uint64{p.Ops},
		Begin: []Change{{p, fn, Maybe}}, End: []Change{{p, fn, Gone}},
	}
}

// Free is the step that frees an ops that is not registered. Its filter stays.
func (p *Probe) Free() Step {
	return Step{Name: "free " + p.Name, Func: "kfree", Args: []uint64{p.Ops}}
}

// edit is what becomes of a filter: the last two arguments of ftrace_set_filter_ip.
type edit struct{ remove, reset uint64 }

var (
	add    = edit{}          // the function is traced too
	remove = edit{remove: 1} // it no longer is
	reset  = edit{reset: 1}  // it alone is
)

// setFilter is the step that edits the filter by a function. changes are what it leads to.
func (p *Probe) setFilter(name string, addr uint64, e edit, changes ...Change) Step {
	step := Step{Name: name, Func: "ftrace_set_filter_ip", Args: []uint64{p.Ops, addr, e.remove, e.reset}, End: changes}
	for _, c := range changes {
		step.Begin = append(step.Begin, Change{c.Probe, c.Func, Maybe})
	}
	return step
}

// Now makes a step before the threads begin.
func (s *Setup) Now(ctx context.Context, step Step) error {
	x0, err := s.Call(ctx, step.Func, step.Args...)
	if n := int32(x0); err == nil && n < 0 {
		err = errno.Linux(int64(-n))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step.name(), err)
	}
	s.Expect(step.End...)
	return nil
}

// firstOf is the first of the functions that the kernel has; the last of them where it has none.
func (s *Setup) firstOf(names ...string) string {
	for _, name := range names {
		if _, err := s.Symbol(name); err == nil {
			return name
		}
	}
	return names[len(names)-1]
}
