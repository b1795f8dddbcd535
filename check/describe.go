package check

import (
	"fmt"
	"strings"

	"callops/asm"
	"callops/check/internal/guest"
	"callops/check/internal/weak"
)

// describer says what steps are, for a person.
type describer struct {
	m *machine
	p *program
	g *guest.Machine
}

func (d *describer) step(now weak.Time, kinds []int, mv *move) (Step, error) {
	switch {
	case mv.call > 0:
		return Step{Agent: "callback", Does: "runs, and frees " + d.freed(d.p.callbacks[mv.call-1].objects)}, nil
	case mv.cpu < 0:
		return d.patch(mv.time), nil
	}
	st := Step{Agent: fmt.Sprintf("cpu%d", mv.cpu), Where: d.m.name(mv.node.PC)}
	switch {
	case mv.event == "calls":
		st.Where, st.Does = "", "calls "+d.m.name(d.m.fn(kinds[mv.cpu], mv.node.Call))
	case mv.event == schedules:
		st.Where, st.Does = "", "leaves its CPU of its own will, and comes back"
	case mv.event == isPreempted:
		st.Does = "is preempted, and comes back"
	case mv.event == isInterrupted:
		st.Does = "answers the interrupt"
		if mv.node.Kind == guest.Between {
			st.Where = ""
		}
	case mv.event != "":
		st.Where, st.Does = "", mv.event
	default:
		if err := d.executes(&st, now, mv); err != nil {
			return st, err
		}
	}
	if mv.to != nil && mv.event == "" {
		path, err := d.g.Path(kinds[mv.cpu], mv.node, mv.in)
		if err != nil {
			return st, err
		}
		st.More = max(len(path)-1, 0)
	}
	return st, nil
}

// executes tells of an instruction and what it sees.
func (d *describer) executes(st *Step, now weak.Time, mv *move) error {
	n := mv.node
	word, err := d.m.k.Mem.Load32(n.PC)
	if err != nil {
		return err
	}
	if n.Fetch >= 0 {
		l := d.p.hist.Location(n.Fetch)
		v := mv.in.Version(0)
		word = uint32(l.Value(v))
		if newest := l.Latest(now); newest != v {
			st.Reads = append(st.Reads, Read{
				What: "the instruction", Value: d.disassemble(n.PC, l.Value(v)), Stale: true, Newest: d.disassemble(n.PC, l.Value(newest)),
			})
		}
	}
	st.Does = d.disassemble(n.PC, uint64(word))
	if mv.to == nil && mv.broken != nil {
		return nil // it was not executed
	}
	for i, ld := range n.Loads {
		l := d.p.hist.Location(ld.Loc)
		v := mv.in.Version(i)
		r := Read{What: d.place(l.Addr), Value: d.value(l.Value(v))}
		if newest := l.Latest(now); newest != v {
			r.Stale, r.Newest = true, d.value(l.Value(newest))
		}
		st.Reads = append(st.Reads, r)
	}
	return nil
}

// patch tells of a step of the core.
func (d *describer) patch(t weak.Time) Step {
	s := &d.p.steps[t]
	st := Step{Agent: "patcher"}
	switch s.Kind {
	case stepBegin:
		st.Does = d.p.ops[s.Op].name + ": begins"
	case stepEnd:
		st.Does = d.p.ops[s.Op].name + ": returns"
	case stepText:
		st.Does = "stores"
		st.Writes = []Read{{What: d.m.name(s.Addr), Value: d.disassemble(s.Addr, s.Value), Newest: d.disassemble(s.Addr, s.Old)}}
	case stepStore:
		st.Does = "stores"
		if s.Release {
			st.Does = "stores, released"
		}
		st.Writes = []Read{{What: d.place(s.Addr), Value: d.value(s.Value), Newest: d.value(s.Old)}}
	case stepClean:
		st.Does = "cleans and invalidates " + d.m.name(s.Addr)
	case stepInterrupt:
		st.Does = "interrupts every CPU"
	case stepAnswered:
		st.Does = "every CPU has answered"
	case stepWait:
		st.Does = s.Wait.String() + ": begins"
	case stepWaited:
		st.Does = s.Wait.String() + ": returns"
	case stepCall:
		st.Does = "call_rcu, to free " + d.freed(d.p.callbacks[s.Call].objects)
	case stepFree:
		st.Does = "frees " + s.Name
	case stepOrder:
		st.Does = "smp_wmb"
	}
	return st
}

func (d *describer) freed(objects uint64) string {
	names := ""
	for i, o := range d.p.objects {
		if objects>>i&1 != 0 {
			if names != "" {
				names += ", "
			}
			names += o.name
		}
	}
	return names
}

func (d *describer) disassemble(pc, word uint64) string {
	return asm.Disassemble(uint32(word), pc, func(addr uint64) string {
		if sym, off, ok := d.m.k.Symbols.At(addr); ok && off == 0 {
			return sym.Name
		}
		return ""
	})
}

// place names what lies at an address.
func (d *describer) place(addr uint64) string {
	for _, s := range d.m.k.Image.Sites {
		if lit := s.IP - 12; d.m.r.CallOps() && addr >= lit&^7 && addr < lit+8 {
			name := "literal of " + d.m.name(s.Func())
			if off := addr - lit&^7; off != 0 {
				name += fmt.Sprintf("+%d", off)
			}
			return name
		}
	}
	for _, o := range d.m.ops {
		if off := addr - o.Addr(); off < uint64(d.m.k.Layout.Ops.Size) {
			return fmt.Sprintf("%s.%s", d.m.name(o.Addr()), d.field(int(off)))
		}
	}
	if name, off, ok := d.object(addr); ok {
		return fmt.Sprintf("%s+%#x", name, off)
	}
	return d.m.name(addr)
}

// object names what is allocated on the way.
func (d *describer) object(addr uint64) (name string, off uint64, ok bool) {
	for _, o := range d.p.made {
		if o.Contains(addr) {
			return "new " + o.name, addr - o.Start, true
		}
	}
	return "", 0, false
}

// field names a field of struct ftrace_ops.
func (d *describer) field(off int) string {
	l := &d.m.k.Layout.Ops
	h := &d.m.k.Layout.OpsHash
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

// value names what a word holds, where it is the address of something.
func (d *describer) value(v uint64) string {
	if o, ok := d.m.k.Heap.Lookup(v); ok && o.Addr == v {
		return o.Name
	}
	if name, off, ok := d.object(v); ok && off == 0 {
		return name
	}
	if name := d.m.name(v); !strings.Contains(name, "+") {
		return name
	}
	return fmt.Sprintf("%#x", v)
}
