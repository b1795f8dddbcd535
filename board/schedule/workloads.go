package schedule

import "context"

// tracee is the function that callers call: it has no other caller in these kernels.
const tracee = "int_sqrt"

// registered has an ops see all calls of a function, or none.
func register(p *Probe, fn string) Step {
	return Step{
		Name: "register " + p.Name, Func: "register_ftrace_function", Args: []uint64{p.Ops},
		Begin: []Change{{p, fn, Maybe}}, End: []Change{{p, fn, Always}},
	}
}

func unregister(p *Probe, fn string) Step {
	return Step{
		Name: "unregister " + p.Name, Func: "unregister_ftrace_function", Args: []uint64{p.Ops},
		Begin: []Change{{p, fn, Maybe}}, End: []Change{{p, fn, Gone}},
	}
}

// free frees an ops that is not registered. Its hashes stay.
func free(p *Probe) Step { return Step{Name: "free " + p.Name, Func: "kfree", Args: []uint64{p.Ops}} }

// Register registers an ops, unregisters and frees it, while another CPU calls the function that it traces.
var Register = &Workload{Name: "register", Prepare: func(ctx context.Context, s *Setup) error {
	ops, err := s.Ops(ctx, "ops", 0)
	if err != nil {
		return err
	}
	if err := s.Filter(ctx, ops, tracee); err != nil {
		return err
	}
	if err := s.Thread(0, "patcher", register(ops, tracee), unregister(ops, tracee), free(ops)); err != nil {
		return err
	}
	return s.Caller(1, "caller", tracee, 144)
}}
