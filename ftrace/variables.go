package ftrace

// Variables returns what the core decides by, under the names of Linux's variables:
// functions and ops by their address. One that Linux does not have, or that nothing has set
// yet, is left out.
func (r *Registry) Variables() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := map[string]uint64{
		"ftrace_trace_function": r.wantedFunc(), "set_function_trace_op": r.setTraceOp, "saved_ftrace_func": r.savedFunc,
		"ftrace_start_up": uint64(r.startUp), "ftrace_enabled": uint64(uint32(r.enabled)), "ftrace_disabled": 0,
	}
	if r.Dead() {
		v["ftrace_enabled"], v["ftrace_disabled"] = 0, 1
	}
	return v
}
