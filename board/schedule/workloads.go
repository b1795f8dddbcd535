package schedule

import "context"

// The functions that callers call: none of these kernels calls them of itself.
const (
	tracee = "int_sqrt"
	other  = "gcd"
	third  = "int_pow"
)

// Workloads are those that callops has.
var Workloads = []*Workload{
	{
		Name: "register", Sites: []string{tracee},
		What:    "an ops is registered, unregistered and freed, while the function that it traces is called",
		Prepare: prepareRegister,
	},
	{
		Name: "two-ops", Sites: []string{tracee}, CPUs: 3,
		What:    "two ops of one function come and go on two CPUs, while it is called",
		Prepare: prepareTwoOps,
	},
	{
		Name: "third-ops", Sites: []string{tracee},
		What:    "a third ops of a function comes and goes, while the list function calls the other two",
		Prepare: prepareThirdOps,
	},
	{
		Name: "filter", Sites: []string{tracee, other},
		What:    "the filter of an ops changes, while the list function looks into it",
		Prepare: prepareFilter,
	},
	{
		Name: "two-filters", Sites: []string{tracee, other, third}, CPUs: 3,
		What:    "two CPUs add a function each to the filter of one ops, and remove it, while one of them is called",
		Prepare: prepareTwoFilters,
	},
	{
		Name: "direct", Sites: []string{tracee},
		What:    "a direct call is attached, modified and detached, and its code is freed, while the function is called",
		Prepare: prepareDirect,
	},
	{
		Name: "direct-shared", Sites: []string{tracee}, CPUs: 3,
		What:    "the same beside an ops of the function that comes and goes",
		Prepare: prepareDirectShared,
	},
	{
		Name: "two-directs", Sites: []string{tracee, other}, CPUs: 4,
		What:    "direct calls of two functions are attached and detached on two CPUs, while both are called",
		Prepare: prepareTwoDirects,
	},
}

// argument is of which the callers take the root.
const argument = 144

func prepareRegister(ctx context.Context, s *Setup) error {
	ops, err := s.filtered(ctx, "ops")
	if err != nil {
		return err
	}
	if err := s.Thread(0, "patcher", ops.Register(tracee), ops.Unregister(tracee), ops.Free()); err != nil {
		return err
	}
	return s.Caller(1, "caller", tracee, argument)
}

func prepareTwoOps(ctx context.Context, s *Setup) error {
	for cpu, name := range []string{"first", "second"} {
		ops, err := s.filtered(ctx, name)
		if err != nil {
			return err
		}
		if err := s.Thread(cpu, name+" patcher", ops.Register(tracee), ops.Unregister(tracee), ops.Free()); err != nil {
			return err
		}
	}
	return s.Caller(2, "caller", tracee, argument)
}

func prepareThirdOps(ctx context.Context, s *Setup) error {
	for _, name := range []string{"first", "second"} {
		ops, err := s.filtered(ctx, name)
		if err == nil {
			err = s.Now(ctx, ops.Register(tracee))
		}
		if err != nil {
			return err
		}
	}
	ops, err := s.filtered(ctx, "third")
	if err != nil {
		return err
	}
	if err := s.Thread(0, "patcher", ops.Register(tracee), ops.Unregister(tracee), ops.Free()); err != nil {
		return err
	}
	return s.Caller(1, "caller", tracee, argument)
}

func prepareFilter(ctx context.Context, s *Setup) error {
	var both [2]*Probe
	for i, name := range []string{"first", "second"} {
		ops, err := s.filtered(ctx, name)
		if err == nil {
			err = s.Now(ctx, ops.Register(tracee))
		}
		if err != nil {
			return err
		}
		both[i] = ops
	}
	to, err := s.Symbol(other)
	if err != nil {
		return err
	}
	back, err := s.Symbol(tracee)
	if err != nil {
		return err
	}
	ops := both[0]
	steps := []Step{
		ops.setFilter("trace "+other+" too", to, add, Change{ops, other, Always}),
		ops.setFilter("trace "+other+" alone", to, reset, Change{ops, tracee, Never}, Change{ops, other, Always}),
		ops.setFilter("trace "+tracee+" alone", back, reset, Change{ops, tracee, Always}, Change{ops, other, Never}),
		ops.Unregister(tracee), ops.Free(),
	}
	if err := s.Thread(0, "patcher", steps...); err != nil {
		return err
	}
	return s.Caller(1, "caller", tracee, argument)
}

func prepareTwoFilters(ctx context.Context, s *Setup) error {
	ops, err := s.filtered(ctx, "ops")
	if err == nil {
		err = s.Now(ctx, ops.Register(tracee))
	}
	if err != nil {
		return err
	}
	for cpu, fn := range []string{other, third} {
		addr, err := s.Symbol(fn)
		if err != nil {
			return err
		}
		steps := []Step{
			ops.setFilter("trace "+fn+" too", addr, add, Change{ops, fn, Always}),
			ops.setFilter("leave out "+fn, addr, remove, Change{ops, fn, Never}),
		}
		if err := s.Thread(cpu, "patcher of "+fn, steps...); err != nil {
			return err
		}
	}
	return s.Caller(2, "caller", other, argument, 36)
}

func prepareDirect(ctx context.Context, s *Setup) error {
	if err := s.directThread(ctx, 0, "", tracee); err != nil {
		return err
	}
	return s.Caller(1, "caller", tracee, argument)
}

func prepareDirectShared(ctx context.Context, s *Setup) error {
	if err := s.directThread(ctx, 0, "", tracee); err != nil {
		return err
	}
	ops, err := s.filtered(ctx, "ops")
	if err != nil {
		return err
	}
	if err := s.Thread(1, "tracer", ops.Register(tracee), ops.Unregister(tracee), ops.Free()); err != nil {
		return err
	}
	return s.Caller(2, "caller", tracee, argument)
}

func prepareTwoDirects(ctx context.Context, s *Setup) error {
	for i, fn := range []string{tracee, other} {
		if err := s.directThread(ctx, i, fn+" ", fn); err != nil {
			return err
		}
		if err := s.Caller(2+i, "caller of "+fn, fn, argument, 36); err != nil {
			return err
		}
	}
	return nil
}

// directThread has a thread attach a direct call, change it to another one, and detach it.
func (s *Setup) directThread(ctx context.Context, cpu int, prefix, fn string) error {
	addr, err := s.DirectOps(ctx)
	if err != nil {
		return err
	}
	ops := &Probe{Name: prefix + "direct ops", Ops: addr}
	if err := s.Filter(ctx, ops, fn); err != nil {
		return err
	}
	first, err := s.Direct(prefix + "first direct")
	if err != nil {
		return err
	}
	second, err := s.Direct(prefix + "second direct")
	if err != nil {
		return err
	}
	return s.Thread(cpu, prefix+"patcher",
		Step{
			Name: "attach", Func: "register_ftrace_direct", Args: []uint64{ops.Ops, first.Func},
			Begin: []Change{{first, fn, Maybe}}, End: []Change{{first, fn, Always}},
		},
		Step{
			Name: "modify", Func: "modify_ftrace_direct", Args: []uint64{ops.Ops, second.Func},
			Begin: []Change{{first, fn, Maybe}, {second, fn, Maybe}}, End: []Change{{first, fn, Never}, {second, fn, Always}},
		},
		// The caller of modify_ftrace_direct waits before it frees the first call's code.
		Step{Name: "wait", Func: s.firstOf("synchronize_rcu_tasks", "synchronize_rcu")},
		Step{Name: "free first", Func: s.firstOf("synchronize_rcu_tasks_rude", "synchronize_rcu"), End: []Change{{first, fn, Gone}}},
		Step{
			Name: "detach", Func: "unregister_ftrace_direct", Args: []uint64{ops.Ops, second.Func, 0},
			Begin: []Change{{second, fn, Maybe}}, End: []Change{{second, fn, Gone}},
		},
		ops.Free(),
	)
}
