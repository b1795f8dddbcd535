package model

import (
	"fmt"
	"strings"
)

// Name names an address: an object on the heap, or a symbol.
func (s *Subject) Name(addr uint64) string { return s.m.name(addr) }

// Symbol names an address that a symbol is at; "" where there is none.
func (s *Subject) Symbol(addr uint64) string {
	if sym, off, ok := s.m.k.Symbols.At(addr); ok && off == 0 {
		return sym.Name
	}
	return ""
}

// Place names what lies at an address: a literal, a field of an ops, an object.
func (s *Subject) Place(addr uint64) string {
	for _, site := range s.m.k.Sites() {
		if lit := site.IP - 12; s.m.r.CallOps() && addr >= lit&^7 && addr < lit+8 {
			name := "literal of " + s.m.name(site.Func())
			if off := addr - lit&^7; off != 0 {
				name += fmt.Sprintf("+%d", off)
			}
			return name
		}
	}
	for _, o := range s.m.ops {
		if off := addr - o.Addr(); off < uint64(s.m.k.Layout.Ops.Size) {
			return fmt.Sprintf("%s.%s", s.m.name(o.Addr()), s.field(int(off)))
		}
	}
	if name, off, ok := s.object(addr); ok {
		return fmt.Sprintf("%s+%#x", name, off)
	}
	return s.m.name(addr)
}

// Value names what a word holds, where it is the address of something.
func (s *Subject) Value(v uint64) string {
	if name, ok := s.m.literalName(v); ok {
		return name
	}
	if o, ok := s.m.k.Heap.Lookup(v); ok && o.Addr == v {
		return objectName(o.Name)
	}
	if name, off, ok := s.object(v); ok && off == 0 {
		return name
	}
	if name := s.m.name(v); !strings.Contains(name, "+") {
		return name
	}
	return fmt.Sprintf("%#x", v)
}

// object names what is allocated on the way.
func (s *Subject) object(addr uint64) (name string, off uint64, ok bool) {
	for _, o := range s.p.made {
		if o.Contains(addr) {
			return "new " + o.name, addr - o.Start, true
		}
	}
	return "", 0, false
}

// objectName is what an object is called here. Those of kmalloc are called after the
// instruction that allocated them.
func objectName(name string) string {
	by, ok := strings.CutPrefix(name, "what ")
	if by, allocated := strings.CutSuffix(by, " allocated"); ok && allocated {
		return "object of " + by
	}
	return name
}

// field names a field of struct ftrace_ops.
func (s *Subject) field(off int) string {
	l := &s.m.r.Code().Layout.Ops
	h := &s.m.k.Layout.OpsHash
	for _, f := range []struct {
		off  int
		name string
	}{
		{l.Func, "func"}, {l.Next, "next"}, {l.Flags, "flags"}, {l.Private, "private"}, {l.SavedFunc, "saved_func"},
		{l.LocalHash + h.Notrace, "notrace_hash"}, {l.LocalHash + h.Filter, "filter_hash"}, {l.FuncHash, "func_hash"},
		{l.OldHash + h.Notrace, "old_hash.notrace_hash"}, {l.OldHash + h.Filter, "old_hash.filter_hash"},
		{l.Trampoline, "trampoline"}, {l.DirectCall, "direct_call"},
	} {
		if f.off == off {
			return f.name
		}
	}
	return fmt.Sprintf("%#x", off)
}

// name names an address: an object on the heap, or a symbol.
func (m *Machine) name(addr uint64) string {
	if o, ok := m.k.Heap.Lookup(addr); ok {
		if addr == o.Addr {
			return objectName(o.Name)
		}
		return fmt.Sprintf("%s+%#x", objectName(o.Name), addr-o.Addr)
	}
	for _, o := range m.ops { // one that lies in the kernel's data
		if o != nil && addr == o.Addr() {
			return o.Name
		}
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
	if name := m.k.Short(addr); name != "" {
		return name
	}
	return fmt.Sprintf("%#x", addr)
}
