package guest

import "encoding/binary"

// Visit is a look at a CPU that stands at an address.
type Visit struct {
	m *Machine
	t *task
	s *state
}

// Kind is the kind of task that the CPU runs.
func (v *Visit) Kind() int { return v.t.cpu.ID() }

// X returns a register, and SP the stack pointer.
func (v *Visit) X(n int) uint64 { return v.s.x[n] }
func (v *Visit) SP() uint64     { return v.s.sp }

// StackTop is sp at the call's begin; the frame record of the caller is there.
func (v *Visit) StackTop() uint64 { return v.t.base }

// Func is the function that was called.
func (v *Visit) Func() uint64 { return v.t.calls[v.s.call] }

// Count notes a call of ops number i.
func (v *Visit) Count(i int) { v.s.seen = v.s.seen.Plus(i) }

// Counted is how often ops number i was called in this call, at most 15 times.
func (v *Visit) Counted(i int) int { return v.s.seen.Of(i) }

// Stack reads a doubleword of the stack; ok is false where nothing lives.
func (v *Visit) Stack(addr uint64) (uint64, bool) {
	i := (addr - v.s.sp) / 8
	if addr%8 != 0 || addr < v.s.sp || i >= uint64(len(v.s.stack)) {
		return 0, false
	}
	return v.s.stack[i].value, true
}

// Task reads a doubleword of the task_struct at an offset.
func (v *Visit) Task(off int) uint64 {
	addr := v.t.cpu.Task + uint64(off)
	for _, w := range v.s.own {
		if w.addr == addr {
			return w.value
		}
	}
	if first, ok := v.m.firstValue(v.t, addr); ok {
		return first
	}
	return binary.LittleEndian.Uint64(v.m.host(addr, 8))
}
