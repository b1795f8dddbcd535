package model

import (
	"callops/check/internal/guest"
	"callops/check/property"
	"callops/emu"
	"callops/ftrace"
	"callops/trampolines"
)

// The properties that are checked where a CPU comes to an address. Those that
// need to know what others do are in turn.go.

// watches returns what is to hold where.
func (m *Machine) watches() map[uint64]func(*guest.Visit) *property.Broken {
	w := map[uint64]func(*guest.Visit) *property.Broken{}
	code := m.r.Code()
	for i := range m.ops {
		if m.sc.Ops[i].Graph {
			w[m.tracer[i][0].Start] = func(v *guest.Visit) *property.Broken { return m.graphEntry(v, i) }
			w[m.tracer[i][1].Start] = func(v *guest.Visit) *property.Broken { return m.graphReturn(v, i) }
			continue
		}
		for piece, at := range m.tracer[i] {
			switch {
			case m.sc.Ops[i].Direct:
				w[at.Start] = func(v *guest.Visit) *property.Broken { return m.arrived(v, i, piece) }
			case at.End != 0:
				w[at.Start] = func(v *guest.Visit) *property.Broken { return m.traced(v, i) }
			}
		}
	}
	w[code.ListFunc] = func(v *guest.Visit) *property.Broken {
		if m.sc.NoCallOps || m.listPassed(v.X(2)) {
			return nil // it looks at no ops that it is given
		}
		return m.calledWith(v, "ftrace_ops_list_func", code.ListOps)
	}
	m.watchSets(w)
	w[code.NopFunc] = func(v *guest.Visit) *property.Broken { return m.calledWith(v, "ftrace_ops_nop_func", code.NopOps) }
	for _, s := range m.k.Sites() {
		w[s.IP+4] = func(v *guest.Visit) *property.Broken { return m.entered(v, m.part(v, s.IP)) }
	}
	return w
}

func (m *Machine) calledWith(v *guest.Visit, fn string, ops uint64) *property.Broken {
	if v.X(2) == ops {
		return nil
	}
	return property.Break(property.FuncHasItsOps, "%s was called with %s", fn, m.name(v.X(2)))
}

// traced checks the call of ops number i's tracer.
func (m *Machine) traced(v *guest.Visit, i int) *property.Broken {
	o := m.ops[i]
	ip := m.sites[v.Func()]
	switch {
	case v.X(2) != o.Addr():
		return property.Break(property.FuncHasItsOps, "tracer_%s was called with %s", o.Name, m.name(v.X(2)))
	case v.X(0) != ip:
		return property.Break(property.ToldCallSite, "tracer_%s was told %s", o.Name, m.name(v.X(0)))
	case v.X(1) != emu.ReturnGate:
		return property.Break(property.ToldCaller, "tracer_%s was told %s", o.Name, m.name(v.X(1)))
	}
	if b := m.protected(v, o, i); b != nil {
		return b
	}
	if b := m.frames(v, 0); b != nil {
		return b
	}
	if b := m.inOrder(v, i); b != nil {
		return b
	}
	v.Count(i)
	return nil
}

// direct checks a direct call of ops number i: x9 is where the traced function
// returns to, x30 where it goes on, the rest as its caller left it. Where the site jumps, x30 is
// as its caller left it, and x9 may be anything.
func (m *Machine) direct(v *guest.Visit, i int) *property.Broken {
	x9, x30 := v.X(9), m.sites[v.Func()]+4
	if m.sc.Direct == trampolines.DirectJump {
		x30 = emu.ReturnGate
	}
	if v.X(30) != x30 || m.sc.Direct != trampolines.DirectJump && x9 != emu.ReturnGate {
		return property.Break(property.DirectCallEntry, "x9=%s, x30=%s", m.name(x9), m.name(v.X(30)))
	}
	if b := m.unchanged(v, 0, property.DirectCallEntry); b != nil {
		return b
	}
	v.Count(i)
	return nil
}

// protected checks what the ops' flags ask for.
func (m *Machine) protected(v *guest.Visit, o *ftrace.Ops, i int) *property.Broken {
	flags := m.sc.Ops[i].Flags
	if flags&(ftrace.OpsRecursion|ftrace.OpsRCU) != 0 && v.Task(m.k.Layout.Task.TraceRecursion) == 0 {
		return property.Break(property.Protected, "%s was called outside ftrace_test_recursion_trylock", o.Name)
	}
	if flags&ftrace.OpsRCU != 0 && m.sc.Tasks[v.Kind()].NotWatching {
		return property.Break(property.Protected, "%s was called where RCU is not watching", o.Name)
	}
	return nil
}

// maxFrames is more than any chain has here.
const maxFrames = 8

// frames walks the frame records from x29 on: the traced function, which is a part of the call, and
// where it returns to have to be the outermost, whatever is between.
func (m *Machine) frames(v *guest.Visit, part int) *property.Broken {
	ip := m.siteOf(v, part)
	var chain []uint64
	for fp := v.X(29); fp != v.StackTop(); {
		next, ok := v.Stack(fp)
		lr, ok2 := v.Stack(fp + 8)
		if !ok || !ok2 || len(chain) == maxFrames || next <= fp {
			return property.Break(property.FramesChain, "the record at %#x leads to %#x", fp, next)
		}
		chain = append(chain, lr)
		fp = next
	}
	n := len(chain)
	if n < 2 || chain[n-1] != m.caller(v, part) || chain[n-2] != ip+4 {
		return property.Break(property.FramesChain, "return addresses are %#x; the call site's has to be followed by the caller's", chain)
	}
	return nil
}

// entered checks the registers where the traced function, which is a part of the call, goes on after
// its call site: they are as its caller left them, but that x30 may be return_to_handler once a user wants
// that.
func (m *Machine) entered(v *guest.Visit, part int) *property.Broken {
	if lr := v.X(30); lr != m.caller(v, part) && lr != m.caller(v, part+1) {
		return property.Break(property.RegistersKept, "x30=%s, and was %s", m.name(lr), m.name(m.caller(v, part)))
	}
	return m.unchanged(v, part, property.RegistersKept)
}

// unchanged checks the registers that a call site passes on: all but x9 to x17
// and x30.
func (m *Machine) unchanged(v *guest.Visit, part int, p property.Property) *property.Broken {
	for i := range 30 {
		want := guest.Entry(i)
		switch {
		case i == 0:
			want = m.arg(v.Func(), part)
		case i >= 9 && i <= 17:
			continue
		case i == 29:
			want = v.StackTop()
		}
		if v.X(i) != want {
			return property.Break(p, "x%d=%#x, and was %#x", i, v.X(i), want)
		}
	}
	if v.SP() != v.StackTop() {
		return property.Break(p, "sp=%#x, and was %#x", v.SP(), v.StackTop())
	}
	return nil
}

// ended checks a call that has returned.
func (m *Machine) ended(v *guest.Visit) *property.Broken {
	if v.SP() != v.StackTop() || v.X(29) != v.StackTop() {
		return property.Break(property.StackGivenBack, "sp=%#x, x29=%#x, and both were %#x", v.SP(), v.X(29), v.StackTop())
	}
	if want := m.result(v.Func()); m.sc.hasGraph() && v.X(0) != want {
		return property.Break(property.ResultKept, "x0=%#x, and the function returned %#x", v.X(0), want)
	}
	return nil
}

// owed checks a call that has returned against what was owed to each ops while
// it ran.
func (t *turn) owed() *property.Broken {
	for part := range t.enters[t.kind][t.n.Call] {
		if b := t.owedOf(part); b != nil {
			return b
		}
	}
	return nil
}

// owedOf is owed for one part of the call. It began no earlier than the call.
func (t *turn) owedOf(part int) *property.Broken {
	begun, knew := getTime(t.b, cpuBegun), getTime(t.b, cpuKnew)
	if t.sc.Strict {
		knew = begun
	}
	for i := range t.sc.Ops {
		o := &t.sc.Ops[i]
		k := i*len(t.p.funcs) + t.enters[t.kind][t.n.Call][part]
		since, seen := t.p.changed[t.now][k], t.n.Seen.Of(t.sc.entriesOf(i, part))
		if o.Flags&ftrace.OpsRCU != 0 && t.sc.Tasks[t.kind].NotWatching {
			continue // it is not to be called at all, which its tracer looks at
		}
		switch need := t.p.needs[t.now][k]; {
		case need == needOnce && since <= knew && seen == 0:
			return property.Break(property.EveryCallSeen, "%s was not called", o.Name)
		case seen > 0 && (need == needNever && since <= begun || need == needAbsent && since <= knew):
			return property.Break(property.NoStrayCall, "%s was called", o.Name)
		case seen > 1:
			return property.Break(property.SeenOnce, "%s was called %d times", o.Name, seen)
		case o.Graph && need == needOnce && since <= begun && t.n.Seen.Of(t.sc.returnsOf(i, part)) != seen:
			return property.Break(property.ReturnSeen, "return_%s was not called", o.Name)
		}
	}
	return nil
}
