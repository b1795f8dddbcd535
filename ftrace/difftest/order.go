package difftest

import (
	"fmt"
	"slices"
	"strings"

	"callops/emu"
	"callops/emu/interp"
	"callops/emu/record"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernel/services"
	"callops/machine"
)

// order is what other CPUs can see of a core at work, in its order: stores to the words that
// traced calls read (text, literals, the list, ops, hash pointers), cache maintenance,
// IPIs and grace periods. A store that changes nothing can't be seen.
type order struct {
	s      *side
	events []string
	on     bool
	cpu    *record.CPU // that runs the kernel's own core; nil: callops' runs
}

// observe has everything noted from now on, or nothing.
func (o *order) observe(on bool) {
	o.on = on
	switch {
	case o.cpu == nil:
	case on:
		o.cpu.Observe(o.insn)
	default:
		o.cpu.Observe(nil)
	}
}

func (o *order) add(format string, args ...any) {
	if o.on {
		o.events = append(o.events, fmt.Sprintf(format, args...))
	}
}

// take returns the events since the last time.
func (o *order) take() []string {
	events := o.events
	o.events = nil
	return events
}

// stored notes a store to a word that can be seen.
func (o *order) stored(addr, old, v uint64, release bool) {
	if old == v {
		return
	}
	name, ok := o.word(addr)
	if !ok {
		return
	}
	how := "store"
	if release {
		how = "store-release"
	}
	o.add("%s %s = %s", how, name, o.value(v))
}

// word names a word that traced calls read. ok is false for any other.
func (o *order) word(addr uint64) (name string, ok bool) {
	code, l := o.s.core.Code(), o.s.m.Kernel.Layout
	switch addr {
	case code.OpsList:
		return "ftrace_ops_list", true
	case code.FunctionTraceOp:
		return "function_trace_op", true
	}
	for i, ops := range o.s.ops {
		if ops == nil || addr < ops.Addr() || addr >= ops.Addr()+uint64(l.Ops.Size) {
			continue
		}
		field, ok := map[int]string{
			l.Ops.Func: "func", l.Ops.Next: "next", l.Ops.Flags: "flags", l.Ops.Trampoline: "trampoline", l.Ops.DirectCall: "direct_call",
			l.Ops.FuncHash: "func_hash", l.Ops.LocalHash + l.OpsHash.Filter: "filter_hash", l.Ops.LocalHash + l.OpsHash.Notrace: "notrace_hash",
		}[int(addr-ops.Addr())]
		return fmt.Sprintf("ops%d->%s", i, field), ok
	}
	return "", false
}

// value names what is stored. A hash is not told from another.
func (o *order) value(v uint64) string {
	l := &o.s.m.Kernel.Layout.Ops
	for i, ops := range o.s.ops {
		switch {
		case ops == nil:
		case v == ops.Addr():
			return fmt.Sprintf("ops%d", i)
		case v == ops.Addr()+uint64(l.LocalHash):
			return fmt.Sprintf("ops%d's hashes", i)
		}
	}
	if object, ok := o.s.m.Kernel.Heap.Lookup(v); ok {
		if object.Name == tmpOps { // callops' core has its own
			return tmpOps
		}
		return "a hash"
	}
	if sym, off, ok := o.s.m.Kernel.Symbols.At(v); ok {
		if name, _, _ := strings.Cut(sym.Name, "."); name == tmpOps {
			return tmpOps
		}
		return fmt.Sprintf("%s+%#x", sym.Name, off)
	}
	return fmt.Sprintf("%#x", v)
}

// tmpOps is the ops of modify_ftrace_direct, a static variable there.
const tmpOps = "tmp_ops"

func (o *order) text(addr, old, v uint64, size int) {
	switch {
	case old == v || !o.on:
	case size == 4:
		o.add("store the word at %s = %s", o.s.m.Kernel.Symbols.Format(addr), o.s.word(addr, uint32(v)))
	default:
		o.add("store the literal at %s = %s", o.s.m.Kernel.Symbols.Format(addr), o.value(v))
	}
}

// line is the cache line of CTR_EL0, in bytes. The kernel cleans whole ones.
const line = 64

func (o *order) cleaned(addr, size uint64) {
	if !o.on {
		return
	}
	for at := addr &^ (line - 1); at < addr+size; at += line {
		o.add("clean text in the line of %s", o.s.m.Kernel.Symbols.Format(at))
	}
}

// ourMemory is callops' core's, observed.
type ourMemory struct {
	ftrace.Memory
	*order
	mem *emu.Memory
}

func (m *ourMemory) isText(addr uint64) bool {
	r := m.mem.Region(addr)
	return r != nil && r.Perm&emu.Exec != 0
}

func (m *ourMemory) Store32(addr uint64, v uint32) error {
	old, _ := m.Load32(addr) // the store reports what is wrong with the address
	err := m.Memory.Store32(addr, v)
	if err == nil && m.isText(addr) {
		m.text(addr, uint64(old), uint64(v), 4)
	}
	return err
}

func (m *ourMemory) Store64(addr uint64, v uint64) error {
	old, _ := m.Load64(addr)
	err := m.Memory.Store64(addr, v)
	switch {
	case err != nil:
	case m.isText(addr):
		m.text(addr, old, v, 8)
	case m.on:
		m.stored(addr, old, v, false)
	}
	return err
}

func (m *ourMemory) StoreRelease64(addr uint64, v uint64) error {
	old, _ := m.Load64(addr)
	err := m.Memory.StoreRelease64(addr, v)
	if err == nil && m.on {
		m.stored(addr, old, v, true)
	}
	return err
}

func (m *ourMemory) SyncText(addr, size uint64) {
	m.Memory.SyncText(addr, size)
	m.cleaned(addr, size)
}

func (m *ourMemory) SyncCPUs() {
	m.Memory.SyncCPUs()
	m.add("IPI")
}

// ourGrace is where callops' core waits, as a kernel without RCU tasks has it.
type ourGrace struct {
	*order
	noTasks bool // synchronize_rcu_tasks is synchronize_rcu (no CONFIG_TASKS_RCU)
}

func (g *ourGrace) tasks() services.GraceKind {
	if g.noTasks {
		return services.RCU
	}
	return services.RCUTasks
}

func (g *ourGrace) SynchronizeRCUTasksRude() error {
	g.add("wait for %s", services.RCUTasksRude)
	return nil
}

func (g *ourGrace) SynchronizeRCUTasks() error {
	g.add("wait for %s", g.tasks())
	return nil
}

func (g *ourGrace) CallRCU(free func()) {
	g.add("callback after %s", services.RCU)
	free()
}

func (g *ourGrace) CallRCUTasks(free func()) {
	g.add("callback after %s", g.tasks())
	free()
}

// ours has callops' core observed.
func (o *order) ours(mc *machine.Config, opts *ftrace.Options) {
	mc.Ftrace = func(k *kernel.Kernel) (*ftrace.Options, error) {
		_, err := k.Symbols.Lookup("synchronize_rcu_tasks")
		opts.Memory = &ourMemory{ftrace.LiveMemory(k), o, k.Mem}
		opts.Grace = &ourGrace{o, err != nil}
		return opts, nil
	}
}

// image has the kernel's own core observed: its instructions, and what services do for it.
func (o *order) image(mc *machine.Config) {
	mc.Engine = record.Of(interp.New)
	mc.Services = &services.Options{
		Text: func(_ emu.CPU, w services.TextWrite, store func() error) error {
			err := store()
			if err == nil {
				o.text(w.Addr, w.Old, w.New, w.Size)
			}
			return err
		},
		Event: o.event,
	}
}

func (o *order) insn(in *record.Insn) error {
	for i := range in.Accesses {
		if a := &in.Accesses[i]; a.Store && a.Size == 8 {
			o.stored(a.Addr, a.Old, a.Value, in.Release)
		}
	}
	return nil
}

func (o *order) event(e services.Event) {
	switch e.Kind {
	case services.TextMaintained:
		o.cleaned(e.Addr, uint64(e.Size))
	case services.Interrupted:
		o.add("IPI")
	case services.GraceBegan:
		if strings.Contains(e.Func, "call_") {
			return // for the callback, which is queued next
		}
		o.add("wait for %s", e.Grace)
	case services.CallbackQueued:
		o.add("callback after %s", e.Grace)
	}
}

// compareOrder compares what both did since the last time.
func (p *Pair) compareOrder() error {
	if p.ours.order == nil {
		return nil
	}
	a, b := p.ours.order.take(), p.image.order.take()
	if slices.Equal(a, b) {
		return nil
	}
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	return p.differ(fmt.Sprintf("the order of what other CPUs can see, from event %d on", at+1), excerpt(a, at), excerpt(b, at))
}

// excerpt is the events around one, a line each.
func excerpt(events []string, at int) string {
	const before, after = 4, 4
	var b strings.Builder
	for i := max(0, at-before); i < min(len(events), at+after); i++ {
		fmt.Fprintf(&b, "\n    %4d  %s", i+1, events[i])
	}
	if at >= len(events) {
		fmt.Fprintf(&b, "\n    %4d  nothing more", len(events)+1)
	}
	return b.String() + "\n"
}

var (
	_ ftrace.Memory       = (*ourMemory)(nil)
	_ ftrace.GracePeriods = (*ourGrace)(nil)
)
