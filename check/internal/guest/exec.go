package guest

import (
	"encoding/binary"
	"fmt"
	"math"

	"callops/asm"
	"callops/asm/effects"
	"callops/check/internal/weak"
	"callops/check/property"
	"callops/emu"
)

// host is the host memory that holds a task's address range.
func (m *Machine) host(addr, size uint64) []byte {
	r := m.cfg.Kernel.Mem.Region(addr)
	return r.Host()[addr-r.Base:][:size]
}

// load puts a state into the CPU and its memory. Below sp the stack holds zeros.
func (m *Machine) load(t *task, s *state) {
	r := t.cpu.Regs()
	r.X, r.SP, r.PC, r.NZCV = s.x, s.sp, s.pc, s.flags
	r.SPEL0, r.TPIDREL1 = t.cpu.Task, t.cpu.PerCPU
	clear(m.host(t.low, s.sp-t.low))
	if len(s.stack) > 0 {
		b := m.host(s.sp, uint64(8*len(s.stack)))
		for i, w := range s.stack {
			binary.LittleEndian.PutUint64(b[8*i:], w.value)
		}
	}
	i := 0
	for _, w := range t.first {
		v := w.value
		for i < len(s.own) && s.own[i].addr < w.addr {
			i++
		}
		if i < len(s.own) && s.own[i].addr == w.addr {
			v = s.own[i].value
		}
		binary.LittleEndian.PutUint64(m.host(w.addr, 8), v)
	}
}

// exec executes the instruction that n is about, whose state s is loaded.
func (m *Machine) exec(t *task, s *state, n *Node, in Input) (*property.Broken, error) {
	word, err := m.show(n, in)
	if err != nil {
		return nil, err
	}
	o, err := m.operands(s.pc, word)
	if err != nil {
		return &property.Broken{Property: property.ExecutesCode, Detail: err.Error()}, nil
	}
	if n.Fetch >= 0 && o.Access != effects.NoAccess {
		return nil, fmt.Errorf("an instruction that changes accesses memory: %s", asm.Disassemble(word, s.pc, nil))
	}
	if broken := m.torn(n, in); broken != nil {
		return broken, nil
	}
	addr := o.Address(s.pc, s.reg)
	if o.Access != effects.Loads && o.Access != effects.NoAccess {
		m.keepFirst(t, addr, uint64(o.Size)*uint64(o.Count))
	}
	exit, err := t.cpu.Step()
	if err != nil {
		return nil, err
	}
	if exit.Reason != emu.ExitBudget {
		return m.refused(exit), nil
	}
	after := m.flow(s, o, n, in, addr)
	r := t.cpu.Regs()
	if rt, ok := asm.DecodeReadCounter(word); ok {
		r.X[rt] = 0 // what was executed before is no part of a state
	}
	s.x, s.pc, s.flags, s.after = r.X, r.PC, r.NZCV, after
	if r.SP != s.sp {
		if broken := m.moveStack(t, s, r.SP); broken != nil {
			return broken, nil
		}
	}
	if o.Access != effects.Loads && o.Access != effects.NoAccess {
		m.stored(t, s, o, addr)
	}
	return nil, nil
}

// show writes to memory what the instruction sees, and returns its word.
func (m *Machine) show(n *Node, in Input) (uint32, error) {
	mem := m.cfg.Kernel.Mem
	have, err := mem.Load32(n.PC)
	if err != nil {
		return 0, err
	}
	if n.Fetch >= 0 {
		word := uint32(m.cfg.History.Location(n.Fetch).Value(in.Version(0)))
		if word != have {
			if err := mem.Store32(n.PC, word); err != nil {
				return 0, err
			}
			mem.SyncText(n.PC, 4)
		}
		return word, nil
	}
	for i, l := range n.Loads {
		loc := m.cfg.History.Location(l.Loc)
		b := m.host(loc.Addr, loc.Size)
		v := loc.Value(in.Version(i))
		if loc.Size == 8 {
			binary.LittleEndian.PutUint64(b, v)
		} else {
			binary.LittleEndian.PutUint32(b, uint32(v))
		}
	}
	return have, nil
}

// torn looks for one value read in parts from two.
func (m *Machine) torn(n *Node, in Input) *property.Broken {
	for i := 1; i < len(n.Loads); i++ {
		a, b := m.cfg.History.Location(n.Loads[i-1].Loc), m.cfg.History.Location(n.Loads[i].Loc)
		if a.Size != 4 || b.Size != 4 || b.Addr != a.Addr+4 {
			continue
		}
		va, vb := in.Version(i-1), in.Version(i)
		if a.Whole(va) != b.Whole(vb) {
			return property.Break(property.ReadWhole, "%#x at %s is half of one value and half of another",
				b.Value(vb)<<32|a.Value(va), m.cfg.Kernel.Symbols.Format(a.Addr))
		}
	}
	return nil
}

// refused returns what an exit means that is not the end of an instruction.
func (m *Machine) refused(exit emu.Exit) *property.Broken {
	detail := exit.String()
	if exit.Fault != nil {
		if o, ok := m.cfg.Kernel.Heap.Poisoned(exit.Fault.Addr); ok {
			detail += fmt.Sprintf(": the address was taken from %s, which has been freed", o.Name)
		}
	}
	return &property.Broken{Property: property.NoFault, Detail: detail}
}

// flow works out what the registers depend on once the instruction has been
// executed.
func (m *Machine) flow(s *state, o *effects.Operands, n *Node, in Input, addr uint64) [31]weak.Time {
	after := s.after
	from := m.dependsOn(s, o.Reads)
	for i := range after {
		if o.Writes.Has(1 << i) {
			after[i] = from
		}
	}
	base := m.dependsOn(s, o.Addr)
	if o.WriteBack && o.Base < 31 {
		after[o.Base] = base // not on what is stored there
	}
	if o.Call {
		after[30] = 0 // nor the return address on where the call goes
	}
	if o.Access != effects.Loads && o.Access != effects.LoadsAndStores {
		return after
	}
	for i := range o.Count {
		if o.Data[i] >= 31 {
			continue
		}
		at := addr + uint64(i)*uint64(o.Size)
		dep := max(base, s.ownAfter(at))
		for j, l := range n.Loads {
			loc := m.cfg.History.Location(l.Loc)
			if at < loc.Addr+loc.Size && loc.Addr < at+uint64(o.Size) {
				dep = max(dep, loc.Brings(in.Version(j)))
			}
		}
		after[o.Data[i]] = dep
	}
	return after
}

// ownAfter is what a word of the task's own depends on.
func (s *state) ownAfter(addr uint64) weak.Time {
	if i := (addr - s.sp) / 8; addr >= s.sp && i < uint64(len(s.stack)) {
		return s.stack[i].after
	}
	for _, w := range s.own {
		if w.addr == addr&^7 {
			return w.after
		}
	}
	return 0
}

// keepFirst remembers what the task's own words held before the first store.
func (m *Machine) keepFirst(t *task, addr, size uint64) {
	for a := addr &^ 7; a < addr+size; a += 8 {
		if t.cpu.Stack.Contains(a) {
			continue
		}
		if _, known := m.firstValue(t, a); known {
			continue
		}
		w := ownWord{a, slot{value: binary.LittleEndian.Uint64(m.host(a, 8))}}
		i := 0
		for i < len(t.first) && t.first[i].addr < a {
			i++
		}
		t.first = append(t.first, ownWord{})
		copy(t.first[i+1:], t.first[i:])
		t.first[i] = w
	}
}

func (m *Machine) firstValue(t *task, addr uint64) (uint64, bool) {
	for _, w := range t.first {
		if w.addr == addr {
			return w.value, true
		}
	}
	return 0, false
}

// moveStack makes room on the stack, or forgets what is below sp from now on.
func (m *Machine) moveStack(t *task, s *state, sp uint64) *property.Broken {
	if sp%8 != 0 || sp < t.cpu.Stack.Start || sp > t.base {
		return property.Break(property.SPInStack, "sp=%#x", sp)
	}
	if sp < s.sp {
		room := make([]slot, (s.sp-sp)/8, (s.sp-sp)/8+uint64(len(s.stack)))
		s.stack = append(room, s.stack...)
		t.low = min(t.low, sp)
	} else {
		clear(m.host(s.sp, sp-s.sp)) // the content is dead
		s.stack = s.stack[(sp-s.sp)/8:]
	}
	s.sp = sp
	return nil
}

// stored reads back what the instruction stored to the task's own memory. A
// word that was stored in parts depends on what all of them depend on, no more.
func (m *Machine) stored(t *task, s *state, o *effects.Operands, addr uint64) {
	size := uint64(o.Size)
	end := addr + size*uint64(o.Count)
	for a := addr &^ 7; a < end; a += 8 {
		w := slot{value: binary.LittleEndian.Uint64(m.host(a, 8)), after: math.MaxUint16}
		if addr > a || end < a+8 {
			w.after = s.ownAfter(a)
		}
		for i := range o.Count {
			if at := addr + uint64(i)*size; at >= a+8 || a >= at+size {
				continue
			}
			if o.Data[i] < 31 {
				w.after = min(w.after, s.after[o.Data[i]])
			} else {
				w.after = 0
			}
		}
		switch i := (a - s.sp) / 8; {
		case a >= s.sp && i < uint64(len(s.stack)):
			s.stack[i] = w
		case !t.cpu.Stack.Contains(a):
			s.setOwn(a, w)
		}
	}
}

// preemptible reads the loaded state's preempt_count.
func (m *Machine) preemptible(t *task, s *state) bool {
	addr := t.cpu.Task + uint64(m.preem)
	for _, w := range s.own {
		if w.addr == addr {
			return w.value&math.MaxUint32 == 0
		}
	}
	v, ok := m.firstValue(t, addr)
	if !ok {
		v = binary.LittleEndian.Uint64(m.host(addr, 8))
	}
	return v&math.MaxUint32 == 0
}
