package guest

import (
	"fmt"

	"callops/asm/effects"
	"callops/check/internal/weak"
	"callops/check/property"
	"callops/emu"
)

// maxPrivate bounds how long a task may go on without a visible step.
const maxPrivate = 10_000

// run goes on from a state, which from has led to, up to the next visible step.
func (m *Machine) run(t *task, s *state, from *Node) (*Node, error) {
	m.load(t, s)
	resting := from.Preemptible
	// A task that could be preempted at from, and has seen and done nothing
	// that matters since, need not be preempted later.
	idled := from.Kind == Run && from.Preemptible && !from.visible()
	for range maxPrivate {
		n := m.look(t, s)
		if n.Kind == Bad {
			return n, nil
		}
		pre := m.preemptible(t, s)
		n.Preemptible = pre
		// Where preemption becomes possible, grace periods may end.
		woke := pre && !resting
		if m.cfg.EachInstruction || woke || n.visible() {
			return m.node(t, s, n), nil
		}
		resting = pre
		ahead := s.clone()
		if broken, err := m.exec(t, ahead, n, 0); err != nil {
			return nil, err
		} else if broken != nil {
			return m.bad(t, s, broken), nil
		}
		next := m.preemptible(t, ahead)
		switch {
		case len(n.Uses) > 0 && !m.same(n.Uses, ahead.pc):
			// Of several instructions that need the same code to be still there, the
			// last one is the one to look at: what is freed stays freed.
			return m.node(t, s, n), nil
		case pre && !next && !idled:
			// The last time for a preemption after what the task saw, and before
			// what it sees and does with preemption disabled.
			return m.node(t, s, n), nil
		}
		if m.executed != nil {
			m.executed(s.pc)
		}
		*s = *ahead
	}
	return m.bad(t, s, property.Break(property.CallsEnd, "%d instructions without an end", maxPrivate)), nil
}

// visible reports whether what the node does depends on others, or others on it.
// Being fetched from code that is freed at some time is not enough; see run.
func (n *Node) visible() bool {
	return n.Kind != Run || n.Fetch >= 0 || len(n.Loads) > 0 || len(n.Uses) > 0 && !n.fetched
}

// same reports whether the instruction at pc is in all of these objects too.
func (m *Machine) same(objects []int, pc uint64) bool {
	next := m.objects(nil, pc, 4)
	if len(next) != len(objects) {
		return false
	}
	for i := range next {
		if next[i] != objects[i] {
			return false
		}
	}
	return true
}

// look finds out what the state is about to do.
func (m *Machine) look(t *task, s *state) *Node {
	n := &Node{Kind: Run, PC: s.pc, Fetch: -1}
	if s.pc == emu.ReturnGate {
		if broken := m.ended(t, s); broken != nil {
			return m.bad(t, s, broken)
		}
		n.Kind = End
		return n
	}
	if f := m.cfg.Arrive[s.pc]; f != nil {
		if broken := f(&Visit{m: m, t: t, s: s}); broken != nil {
			return m.bad(t, s, broken)
		}
	}
	if emu.InGates(s.pc) {
		n.Kind, n.Gate = Gate, s.pc
		return n
	}
	n.Uses = m.objects(nil, s.pc, 4)
	if loc, ok := m.cfg.History.At(s.pc); ok {
		if !m.cfg.History.Location(loc).Text {
			return m.bad(t, s, &property.Broken{Property: property.ExecutesCode, Detail: "data was stored there"})
		}
		n.Fetch = loc
		return n
	}
	o, err := m.fixed(s.pc)
	if err != nil {
		return m.bad(t, s, &property.Broken{Property: property.CodeMapped, Detail: err.Error()})
	}
	if o.Access == effects.NoAccess {
		n.fetched = len(n.Uses) > 0
		return n
	}
	text := len(n.Uses)
	if broken := m.access(t, s, o, n); broken != nil {
		return m.bad(t, s, broken)
	}
	n.fetched = text > 0 && len(n.Uses) == text
	return n
}

// access notes which locations and objects an instruction touches.
func (m *Machine) access(t *task, s *state, o *effects.Operands, n *Node) *property.Broken {
	addr, size := o.Address(s.pc, s.reg), uint64(o.Size)*uint64(o.Count)
	if push := o.WriteBack && o.Base == 31 && o.Access == effects.Stores; t.cpu.Stack.Contains(addr) && addr < s.sp && !push {
		return property.Break(property.StackAboveSP, "%d bytes at sp-%#x", size, s.sp-addr)
	}
	if o.Access != effects.Loads {
		if !m.owns(t, addr, size) {
			return property.Break(property.WritesItsOwn, "%d bytes at %s", size, m.cfg.Kernel.Symbols.Format(addr))
		}
		return nil
	}
	n.Uses = m.objects(n.Uses, addr, size)
	after := m.dependsOn(s, o.Addr)
	for a := addr &^ 3; a < addr+size; a += 4 {
		loc, ok := m.cfg.History.At(a)
		if !ok || len(n.Loads) > 0 && n.Loads[len(n.Loads)-1].Loc == loc {
			continue
		}
		if l := m.cfg.History.Location(loc); l.Text {
			return property.Break(property.TextNotRead, "%d bytes at %#x", size, l.Addr)
		}
		n.Loads = append(n.Loads, Load{Loc: loc, After: after})
	}
	if len(n.Loads) > MaxLoads {
		return property.Break(property.FewWords, "%d locations at %#x", len(n.Loads), addr)
	}
	return nil
}

// dependsOn is the latest of what registers depend on.
func (m *Machine) dependsOn(s *state, regs effects.RegSet) weak.Time {
	var after weak.Time
	for i := range s.after {
		if s.after[i] != 0 && regs.Has(effects.SetOf(uint8(i))) {
			after = max(after, s.after[i])
		}
	}
	return after
}

// owns reports whether a range is the task's: its stack, its task_struct, its CPU's
// area.
func (m *Machine) owns(t *task, addr, size uint64) bool {
	if addr >= t.cpu.Stack.Start && addr+size <= t.cpu.Stack.End {
		return true
	}
	for _, r := range t.areas {
		if addr >= r.Start && addr+size <= r.End {
			return true
		}
	}
	return false
}

// ended checks what must hold when the function has returned.
func (m *Machine) ended(t *task, s *state) *property.Broken {
	for _, w := range s.own {
		first, _ := m.firstValue(t, w.addr)
		if w.value != first && !t.scratch.Contains(w.addr) {
			return property.Break(property.TaskKept, "%s holds %#x, and held %#x before",
				m.wordName(t, w.addr), w.value, first)
		}
	}
	if m.cfg.Ended == nil {
		return nil
	}
	return m.cfg.Ended(&Visit{m: m, t: t, s: s})
}

// wordName names a word of the task's own.
func (m *Machine) wordName(t *task, addr uint64) string {
	l := m.cfg.Kernel.Layout
	switch addr {
	case t.cpu.Task + uint64(l.Task.PreemptCount):
		return "preempt_count"
	case t.cpu.Task + uint64(l.Task.TraceRecursion):
		return "trace_recursion"
	}
	return fmt.Sprintf("the word at %#x", addr)
}
