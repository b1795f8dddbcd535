package check

import (
	"fmt"

	"callops/check/internal/guest"
	"callops/emu"
	"callops/ftrace"
)

// The properties that are checked where a CPU comes to an address. Those that
// need to know what others do are in model.go.

func broken(property, format string, args ...any) *guest.Broken {
	return &guest.Broken{Property: property, Detail: fmt.Sprintf(format, args...)}
}

// watches says what is to hold where.
func (m *machine) watches() map[uint64]func(*guest.Visit) *guest.Broken {
	w := map[uint64]func(*guest.Visit) *guest.Broken{}
	code := m.r.Code()
	for i := range m.ops {
		check := m.traced
		if m.sc.Ops[i].Direct {
			check = m.direct
		}
		for _, at := range m.tracer[i] {
			if at.End != 0 {
				w[at.Start] = func(v *guest.Visit) *guest.Broken { return check(v, i) }
			}
		}
	}
	w[code.ListFunc] = func(v *guest.Visit) *guest.Broken {
		if m.sc.NoCallOps {
			return nil // it looks at no ops that it is given
		}
		return m.calledWith(v, "ftrace_ops_list_func", code.ListOps)
	}
	w[code.NopFunc] = func(v *guest.Visit) *guest.Broken { return m.calledWith(v, "ftrace_ops_nop_func", code.NopOps) }
	for _, s := range m.k.Image.Sites {
		w[s.IP+4] = m.entered
	}
	return w
}

const belongs = "func is called with the ops that it belongs to"

func (m *machine) calledWith(v *guest.Visit, fn string, ops uint64) *guest.Broken {
	if v.X(2) == ops {
		return nil
	}
	return broken(belongs, "%s was called with %s", fn, m.name(v.X(2)))
}

// traced checks the call of ops number i's tracer.
func (m *machine) traced(v *guest.Visit, i int) *guest.Broken {
	o := m.ops[i]
	ip := m.r.Location(v.Func())
	switch {
	case v.X(2) != o.Addr():
		return broken(belongs, "tracer_%s was called with %s", o.Name, m.name(v.X(2)))
	case v.X(0) != ip:
		return broken("a tracer is told the call site", "tracer_%s was told %s", o.Name, m.name(v.X(0)))
	case v.X(1) != emu.ReturnGate:
		return broken("a tracer is told the caller", "tracer_%s was told %s", o.Name, m.name(v.X(1)))
	}
	if b := m.protected(v, o, i); b != nil {
		return b
	}
	if b := m.frames(v, ip); b != nil {
		return b
	}
	v.Count(i)
	return nil
}

// direct checks a direct call of ops number i: x9 is where the traced function
// returns to, x30 where it goes on, the rest as its caller left it.
func (m *machine) direct(v *guest.Visit, i int) *guest.Broken {
	const property = "a direct call finds what the call site left"
	if ip := m.r.Location(v.Func()); v.X(9) != emu.ReturnGate || v.X(30) != ip+4 {
		return broken(property, "x9=%s, x30=%s", m.name(v.X(9)), m.name(v.X(30)))
	}
	if b := m.unchanged(v, property); b != nil {
		return b
	}
	v.Count(i)
	return nil
}

// protected checks what the ops' flags ask for.
func (m *machine) protected(v *guest.Visit, o *ftrace.Ops, i int) *guest.Broken {
	const property = "an ops that asks for protection is called with it"
	flags := m.sc.Ops[i].Flags
	if flags&(ftrace.OpsRecursion|ftrace.OpsRCU) != 0 && v.Task(m.k.Layout.Task.TraceRecursion) == 0 {
		return broken(property, "%s was called outside ftrace_test_recursion_trylock", o.Name)
	}
	if flags&ftrace.OpsRCU != 0 && m.sc.Tasks[v.Kind()].NotWatching {
		return broken(property, "%s was called where RCU does not watch", o.Name)
	}
	return nil
}

// maxFrames is more than any chain has here.
const maxFrames = 8

// frames walks the frame records from x29 on: the traced function and its
// caller have to be the outermost, whatever is between.
func (m *machine) frames(v *guest.Visit, ip uint64) *guest.Broken {
	const property = "frame records chain"
	var chain []uint64
	for fp := v.X(29); fp != v.StackTop(); {
		next, ok := v.Stack(fp)
		lr, ok2 := v.Stack(fp + 8)
		if !ok || !ok2 || len(chain) == maxFrames || next <= fp {
			return broken(property, "the record at %#x leads to %#x", fp, next)
		}
		chain = append(chain, lr)
		fp = next
	}
	n := len(chain)
	if n < 2 || chain[n-1] != emu.ReturnGate || chain[n-2] != ip+4 {
		return broken(property, "return addresses are %#x; the call site's has to be followed by the caller's", chain)
	}
	return nil
}

// entered checks the registers where the traced function goes on behind its
// call site: they are as its caller left them.
func (m *machine) entered(v *guest.Visit) *guest.Broken {
	const property = "the traced function finds its registers as its caller left them"
	if v.X(30) != emu.ReturnGate {
		return broken(property, "x30=%s, and was %s", m.name(v.X(30)), m.name(emu.ReturnGate))
	}
	return m.unchanged(v, property)
}

// unchanged checks the registers that a call site passes on: all but x9 to x17
// and x30.
func (m *machine) unchanged(v *guest.Visit, property string) *guest.Broken {
	for i := range 30 {
		want := guest.Entry(i)
		switch {
		case i >= 9 && i <= 17:
			continue
		case i == 29:
			want = v.StackTop()
		}
		if v.X(i) != want {
			return broken(property, "x%d=%#x, and was %#x", i, v.X(i), want)
		}
	}
	if v.SP() != v.StackTop() {
		return broken(property, "sp=%#x, and was %#x", v.SP(), v.StackTop())
	}
	return nil
}

// ended checks a call that has returned.
func (m *machine) ended(v *guest.Visit) *guest.Broken {
	if v.SP() != v.StackTop() || v.X(29) != v.StackTop() {
		return broken("a call gives the stack back", "sp=%#x, x29=%#x, and both were %#x", v.SP(), v.X(29), v.StackTop())
	}
	return nil
}

// name names an address: an object on the heap, or a symbol.
func (m *machine) name(addr uint64) string {
	if o, ok := m.k.Heap.Lookup(addr); ok {
		if addr == o.Addr {
			return o.Name
		}
		return fmt.Sprintf("%s+%#x", o.Name, addr-o.Addr)
	}
	if name, ok := m.k.Gates.Name(addr); ok {
		return name
	}
	// A kernel without CONFIG_KALLSYMS_ALL has no symbols for these.
	code := m.r.Code()
	for name, at := range map[string]uint64{
		"ftrace_ops_list": code.OpsList, "function_trace_op": code.FunctionTraceOp, "ftrace_list_end": code.ListEnd,
		"ftrace_list_ops": code.ListOps, "ftrace_nop_ops": code.NopOps,
	} {
		if addr == at && at != 0 {
			return name
		}
	}
	if sym, off, ok := m.k.Symbols.At(addr); ok && off == 0 {
		return sym.Name
	} else if ok {
		return fmt.Sprintf("%s+%#x", sym.Name, off)
	}
	return fmt.Sprintf("%#x", addr)
}

// owed checks a call that has returned against what was owed to each ops while
// it ran.
func (t *turn) owed() *guest.Broken {
	begun, knew := getTime(t.b, cpuBegun), getTime(t.b, cpuKnew)
	if t.sc.Strict {
		knew = begun
	}
	for i := range t.sc.Ops {
		o := &t.sc.Ops[i]
		k := i*len(t.p.funcs) + t.funcOf[t.kind][t.n.Call]
		since, seen := t.p.changed[t.now][k], t.n.Seen.Of(i)
		if o.Flags&ftrace.OpsRCU != 0 && t.sc.Tasks[t.kind].NotWatching {
			continue // it is not to be called at all, which its tracer looks at
		}
		switch need := t.p.needs[t.now][k]; {
		case need == needOnce && since <= knew && seen == 0:
			return broken("a registered ops sees every call", "%s was not called", o.Name)
		case seen > 0 && (need == needNever && since <= begun || need == needAbsent && since <= knew):
			return broken("an ops that is not registered sees no call", "%s was called", o.Name)
		case seen > 1:
			return broken("an ops sees a call once", "%s was called %d times", o.Name, seen)
		}
	}
	return nil
}
