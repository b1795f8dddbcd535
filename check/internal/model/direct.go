package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"callops/asm"
	"callops/check/internal/guest"
	"callops/check/property"
	"callops/ftrace"
	"callops/kernel"
	"callops/trampolines"
)

// addDirect places the two direct calls of ops number i, which do what
// ftrace_stub_direct_tramp does.
func (m *Machine) addDirect(i int) (err error) {
	for n, name := range []string{"direct_" + m.sc.Ops[i].Name, "direct_" + m.sc.Ops[i].Name + "_new"} {
		m.tracer[i][n], err = m.place(name, kernel.CodeOptions{Core: true, Far: m.sc.Ops[i].Far}, m.directCode(i))
		if err != nil {
			return err
		}
	}
	if m.sc.Ops[i].Late {
		return m.unwriteDirect(i)
	}
	return nil
}

// unwriteDirect makes the second piece of code what it is before Place: no instructions.
func (m *Machine) unwriteDirect(i int) error {
	at := m.tracer[i][1]
	m.late = make([]byte, at.End-at.Start)
	if err := m.k.Mem.Read(at.Start, m.late); err != nil {
		return err
	}
	return m.k.Mem.Write(at.Start, make([]byte, len(m.late)))
}

// writeDirect is what unwriteDirect undoes.
func (m *Machine) writeDirect(i int) error {
	at := m.tracer[i][1]
	for off := 0; off < len(m.late); off += insnSize {
		if err := m.rec.Store32(at.Start+uint64(off), binary.LittleEndian.Uint32(m.late[off:])); err != nil {
			return err
		}
	}
	m.rec.SyncText(at.Start, at.End-at.Start)
	m.rec.SyncCPUs()
	return nil
}

// directCode is a direct call that does nothing. One that is jumped to knows its call site, which is
// that of its ops' first function.
func (m *Machine) directCode(i int) func(*asm.Builder) {
	if m.sc.Direct != trampolines.DirectJump {
		return func(b *asm.Builder) {
			b.Emit(asm.Bti(asm.BTIC), asm.Mov(asm.X10, asm.LR), asm.Mov(asm.LR, asm.X9))
			lose(b, asm.X11)
			b.Emit(asm.RetReg(asm.X10))
		}
	}
	fn := m.funcsOf(m.sc.Ops[i].Filter[:1])[0]
	return func(b *asm.Builder) {
		b.Emit(asm.Bti(asm.BTIC))
		lose(b, asm.X9)
		b.Emit(asm.MovImm(asm.X10, m.sites[fn]+insnSize)...)
		b.Emit(asm.RetReg(asm.X10))
	}
}

// oneOps is the one ops that has all direct calls.
func (m *Machine) oneOps() (*ftrace.Ops, error) {
	r, ok := m.r.(*ftrace.Registry)
	if !ok {
		return nil, errors.New("an image's own core has an ops for each direct call")
	}
	return r.DirectOps()
}

// addOneOps makes it ops number i.
func (m *Machine) addOneOps(i int) (err error) {
	spec := &m.sc.Ops[i]
	if m.ops[i], err = m.oneOps(); err != nil {
		return err
	}
	if spec.Shares {
		m.ops[i].Share = shares
	}
	if spec.Registered {
		return m.attach(i, spec.Filter)
	}
	return nil
}

// shares lets an IPMODIFY ops share a direct call's sites.
func shares(*ftrace.Ops, ftrace.ShareCommand) error { return nil }

// calls are direct calls of functions to the pieces of code that they have now, or, with moved, to
// the second one.
func (m *Machine) calls(i int, functions []string, moved bool) (calls []ftrace.DirectCall, err error) {
	for _, f := range functions {
		addr, err := m.k.Func(m.names[f])
		if err != nil {
			return nil, err
		}
		to := m.tracer[i][0].Start
		if have := m.r.Direct(m.sites[addr]); have != 0 {
			to = have
		}
		if moved {
			to = m.tracer[i][1].Start
		}
		calls = append(calls, ftrace.DirectCall{IP: m.sites[addr], Addr: to})
	}
	return calls, nil
}

func (m *Machine) attach(i int, functions []string) error {
	calls, err := m.calls(i, functions, false)
	if err != nil {
		return err
	}
	if err := m.r.(*ftrace.Registry).UpdateDirectAdd(m.ops[i], calls); err != nil {
		return err
	}
	m.want.filter(i, m.funcsOf(functions), false)
	m.want.ops[i].registered = true
	return nil
}

func (m *Machine) detach(i int, functions []string) error {
	calls, err := m.calls(i, functions, false)
	if err != nil {
		return err
	}
	if err := m.r.(*ftrace.Registry).UpdateDirectDel(m.ops[i], calls); err != nil {
		return err
	}
	o := &m.want.ops[i]
	gone := m.funcsOf(functions)
	o.functions = slices.DeleteFunc(slices.Clone(o.functions), func(f uint64) bool { return slices.Contains(gone, f) })
	o.registered = len(o.functions) > 0
	return nil
}

func (m *Machine) move(i int, functions []string) error {
	calls, err := m.calls(i, functions, true)
	if err != nil {
		return err
	}
	return m.r.(*ftrace.Registry).UpdateDirectMod(m.ops[i], calls)
}

// funcsOf are the addresses of functions of a scenario.
func (m *Machine) funcsOf(functions []string) (addrs []uint64) {
	for _, f := range functions {
		if addr, err := m.k.Func(m.names[f]); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// arrived checks that a function may come to a piece of code of ops number i.
func (m *Machine) arrived(v *guest.Visit, i, piece int) *property.Broken {
	moves := m.sc.Ops[i].Moves
	if piece == 1 && moves != nil && !slices.Contains(m.funcsOf(moves), v.Func()) {
		return property.Break(property.NoStrayCall, "%s came to another function's direct call", m.name(v.Func()))
	}
	return m.direct(v, i)
}

// listPassed reports whether x2 can be what the list function is passed.
func (m *Machine) listPassed(x2 uint64) bool {
	if m.sc.Direct != trampolines.DirectMini {
		return false
	}
	o, ok := m.k.Heap.Lookup(x2)
	return !ok || o.Addr == x2 // a mini-ops, which may come later
}

// literalName names what a literal holds that is no pointer to an ops.
func (m *Machine) literalName(v uint64) (string, bool) {
	switch m.sc.Direct {
	case trampolines.DirectTagged:
		if tag := v & 3; tag != 0 {
			return fmt.Sprintf("%s, tag %d", m.name(v-tag), tag), true
		}
	case trampolines.DirectMini:
		if o, ok := m.k.Heap.Lookup(v); ok && o.Size == trampolines.MiniSize && v == o.Addr+trampolines.MiniAlone {
			return o.Name + ", alone", true
		}
	}
	return "", false
}
