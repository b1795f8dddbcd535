package interp

import (
	"callops/asm"
	"callops/emu/isa"
)

// sysregs are the system registers that guest code can change.
type sysregs struct {
	daif     uint64 // as DAIF reads, bits 9:6
	pan, uao bool   // of PSTATE

	stored [numStored]uint64

	counterOffset uint64 // of CNTVCT_EL0, from the CPU's count
	mpidr         uint64
}

// numStored is how many registers of isa.Registers this engine only keeps.
const numStored = 18

// storedRegs are the places of those and storedMasks the bits that they keep,
// constantRegs the values of others.
var storedRegs, storedMasks, constantRegs = func() (map[asm.SysReg]int, []uint64, map[asm.SysReg]uint64) {
	stored, masks, constant := map[asm.SysReg]int{}, []uint64(nil), map[asm.SysReg]uint64{}
	for _, r := range isa.Registers {
		switch r.Kind {
		case isa.Stored:
			stored[r.ID] = len(stored)
			masks = append(masks, r.Mask)
		case isa.Constant:
			constant[r.ID] = r.Value
		}
	}
	return stored, masks, constant
}()

func (s *sysregs) reset(int) {
	for _, r := range isa.Registers {
		if r.Kind == isa.Stored {
			s.stored[storedRegs[r.ID]] = r.Value
		}
	}
	s.mpidr = constantRegs[asm.MPIDR_EL1]
	s.daif = 0x3c0 // all masked, as after a reset
}

func sysregOf(w uint32) asm.SysReg { return asm.SysReg(w >> 5) }

func execMrs(c *CPU, w uint32) stop {
	v, ok := c.readSysreg(sysregOf(w))
	if !ok {
		return refused(w)
	}
	c.setReg(fieldRd(w), v)
	return stopNone
}

func (c *CPU) readSysreg(id asm.SysReg) (uint64, bool) {
	switch id {
	case asm.SP_EL0:
		return c.x[slotSPEL0], true
	case asm.TPIDR_EL1:
		return c.x[slotTPIDREL1], true
	case asm.TPIDR_EL0:
		return c.x[slotTPIDREL0], true
	case asm.NZCV:
		return uint64(c.flags.get()) << 28, true
	case asm.DAIF:
		return c.sys.daif, true
	case asm.CNTVCT_EL0:
		return c.count + c.sys.counterOffset, true
	case asm.MPIDR_EL1:
		return c.sys.mpidr, true
	case isa.PAN:
		return uint64(bit(c.sys.pan, 1<<22)), true
	case isa.UAO:
		return uint64(bit(c.sys.uao, 1<<23)), true
	}
	if i, ok := storedRegs[id]; ok {
		return c.sys.stored[i], true
	}
	if v, ok := c.engine.mem.Register(uint16(id)); ok {
		return v, true
	}
	if v, ok := constantRegs[id]; ok {
		return v, true
	}
	_, ok := isa.Lookup(id) // a reserved ID register
	return 0, ok
}

func execMsr(c *CPU, w uint32) stop {
	id, v := sysregOf(w), c.reg(fieldRd(w))
	switch id {
	case asm.SP_EL0:
		c.x[slotSPEL0] = v
	case asm.TPIDR_EL1:
		c.x[slotTPIDREL1] = v
	case asm.TPIDR_EL0:
		c.x[slotTPIDREL0] = v
	case asm.NZCV:
		c.flags.set(uint32(v) >> 28)
	default:
		if !c.writeSysreg(id, v) {
			return refused(w)
		}
	}
	return stopNone
}

// writeSysreg writes a register that is not in the register file, and reports whether there is one.
func (c *CPU) writeSysreg(id asm.SysReg, v uint64) bool {
	switch id {
	case asm.DAIF:
		c.sys.daif = v & 0x3c0
		c.attend()
	case isa.PAN:
		c.sys.pan = v>>22&1 == 1
	case isa.UAO:
		c.sys.uao = v>>23&1 == 1
	default:
		i, ok := storedRegs[id]
		if !ok {
			return false
		}
		c.sys.stored[i] = v & storedMasks[i]
	}
	return true
}

// registerSlots are the system registers that are in the register file, where
// reading and writing them is as cheap as any move: kernel code takes the
// current task and the per-CPU base from them all the time.
var registerSlots = map[asm.SysReg]uint8{asm.SP_EL0: slotSPEL0, asm.TPIDR_EL1: slotTPIDREL1, asm.TPIDR_EL0: slotTPIDREL0}

func fastMrs(w uint32, _ uint64) inst {
	slot, ok := registerSlots[sysregOf(w)]
	if !ok {
		return inst{}
	}
	return inst{op: opMov64, rd: slotD(w), rn: slot}
}

func fastMsr(w uint32, _ uint64) inst {
	slot, ok := registerSlots[sysregOf(w)]
	if !ok {
		return inst{}
	}
	return inst{op: opMov64, rd: slot, rn: uint8(fieldRd(w))}
}
