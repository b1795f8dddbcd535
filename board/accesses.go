package board

import (
	"unsafe"

	"callops/asm/effects"
	"callops/emu"
)

// Access is a load or a store that a CPU has executed, or the fetch of an instruction.
type Access struct {
	CPU    int
	PC     uint64
	Offset uint64 // in RAM: the same by whatever mapping
	Size   uint64
	Kind   emu.Access
	Before *emu.Regs // the registers before the instruction
}

// OnAccess has fn told of each access to RAM that a CPU makes, in their order; nil: no more. It is an [Machine.OnStep].
func (m *Machine) OnAccess(fn func(a *Access)) {
	if fn == nil {
		m.OnStep(nil)
		return
	}
	decoded := make(map[uint64]effects.Operands) // by PC: what is patched is no access
	m.OnStep(func(cpu emu.CPU, before *emu.Regs) {
		a := &Access{CPU: cpu.ID(), PC: before.PC, Before: before}
		tell := func(kind emu.Access, addr, size uint64) {
			r := m.mem.Region(addr)
			if r == nil {
				return // a device, or unmapped since
			}
			a.Offset = uint64(uintptr(unsafe.Pointer(&r.Host()[addr-r.Base])) - uintptr(unsafe.Pointer(&m.ram[0])))
			a.Kind, a.Size = kind, size
			fn(a)
		}
		tell(emu.Fetch, before.PC, 4)
		op, ok := decoded[before.PC]
		if !ok {
			word, err := m.word(before.PC)
			if err != nil {
				return
			}
			op, _ = effects.Decode(word)
			decoded[before.PC] = op
		}
		if op.Access == effects.NoAccess {
			return
		}
		addr, size := op.Address(before.PC, func(n uint8) uint64 {
			if n == 31 {
				return before.SP
			}
			return before.X[n]
		}), uint64(op.Size)*uint64(op.Count)
		if op.Access != effects.Stores {
			tell(emu.Load, addr, size)
		}
		if op.Access != effects.Loads {
			tell(emu.Store, addr, size)
		}
	})
}
