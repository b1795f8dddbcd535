package guestcore

// decisive are the variables that the core decides by, with their size in bytes (kernel/trace/ftrace.c).
var decisive = []struct {
	name string
	size int
}{
	{"ftrace_trace_function", 8}, {"set_function_trace_op", 8}, {"saved_ftrace_func", 8},
	{"ftrace_start_up", 4}, {"ftrace_enabled", 4}, {"ftrace_disabled", 4},
}

// Variables reads what the core decides by, see [ftrace.Registry.Variables]. Those without
// a symbol are left out, and pointers that are NULL.
func (c *Core) Variables() map[string]uint64 {
	found := make(map[string]uint64)
	for _, v := range decisive {
		sym, err := c.k.Symbols.Lookup(v.name)
		if err != nil {
			continue
		}
		if v.size == 4 {
			if w, err := c.k.Mem.Load32(sym.Addr); err == nil {
				found[v.name] = uint64(w)
			}
		} else if w, err := c.k.Mem.Load64(sym.Addr); err == nil && w != 0 {
			found[v.name] = w
		}
	}
	return found
}
