package model

import "slices"

// wanted is what the operations so far have asked for. Calls are judged by it, and
// not by what the core under test has made of it.
type wanted struct {
	off bool // kernel.ftrace_enabled is 0
	ops []wantedOps
}

type wantedOps struct {
	registered bool
	functions  []uint64
}

func newWanted(ops int) wanted { return wanted{ops: make([]wantedOps, ops)} }

// filter replaces or extends the functions that ops number i wants.
func (w *wanted) filter(i int, functions []uint64, reset bool) {
	o := &w.ops[i]
	if reset {
		o.functions = nil
	}
	o.functions = append(slices.Clip(o.functions), functions...)
}

// needs is what calls of each function owe each ops.
func (w *wanted) needs(sc *Scenario, functions []uint64) (needs []need) {
	for i := range w.ops {
		o := &w.ops[i]
		for _, f := range functions {
			n := needNever
			switch {
			case o.registered && !w.off && slices.Contains(o.functions, f):
				n = needOnce
			case o.registered, sc.Ops[i].Static, sc.Ops[i].Graph:
				// A static ops, as graph_ops is, can't be waited for: it may be called a little longer.
				n = needAbsent
			}
			needs = append(needs, n)
		}
	}
	return needs
}
