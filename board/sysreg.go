package board

import (
	"callops/asm"
	"callops/emu"
	"callops/emu/isa"
)

// Registers of the virtual timer and its counter.
var (
	cntpct   = isa.ID(3, 3, 14, 0, 1)
	cntpctS  = isa.ID(3, 3, 14, 0, 5)
	cntvctS  = isa.ID(3, 3, 14, 0, 6)
	cntfrq   = isa.ID(3, 3, 14, 0, 0)
	cntvTVAL = isa.ID(3, 3, 14, 3, 0)
	cntvCTL  = isa.ID(3, 3, 14, 3, 1)
	cntvCVAL = isa.ID(3, 3, 14, 3, 2)
)

// frequency is that of the counter, in Hz: an instruction is a nanosecond.
const frequency = 1_000_000_000

// timer is a CPU's virtual timer (Arm ARM, D12.2).
type timer struct {
	control uint64
	compare uint64
}

// Bits of CNTV_CTL_EL0.
const (
	timerEnable = 1 << 0
	timerMask   = 1 << 1
	timerStatus = 1 << 2
)

// due is the time at which the timer's line goes high.
func (t *timer) due() (at uint64, armed bool) {
	return t.compare, t.control&(timerEnable|timerMask) == timerEnable
}

// level is whether the line is high.
func (t *timer) level(now uint64) bool {
	due, armed := t.due()
	return armed && now >= due
}

// trapped executes an instruction that the engine leaves to what is around it.
func (c *cpu) trapped(t *emu.UnsupportedError) error {
	const eret = 0xd69f03e0
	w := t.Word
	switch {
	case w == eret:
		return c.eret()
	case w>>20 == 0xd51: // MSR
		c.writeTrapped(asm.SysReg(w>>5), c.reg(w&31))
	case w>>20 == 0xd53: // MRS
		if v := c.readTrapped(asm.SysReg(w >> 5)); w&31 != 31 {
			c.Regs().X[w&31] = v
		}
	case w&0xfffffe00 == 0xd5087800: // AT S1E1R and so on
		c.addressTranslate(c.reg(w & 31))
	default:
		return t
	}
	c.Regs().PC += 4
	return nil
}

func (c *cpu) reg(n uint32) uint64 {
	if n == 31 {
		return 0
	}
	return c.Regs().X[n]
}

func (c *cpu) readTrapped(id asm.SysReg) uint64 {
	switch id {
	case cntpct, cntpctS, cntvctS:
		return c.now()
	case cntvCTL:
		v := c.timer.control
		if c.timer.control&timerEnable != 0 && c.now() >= c.timer.compare {
			v |= timerStatus
		}
		return v
	case cntvCVAL:
		return c.timer.compare
	case cntvTVAL:
		return uint64(uint32(c.timer.compare - c.now()))
	}
	return c.trap[id]
}

func (c *cpu) writeTrapped(id asm.SysReg, v uint64) {
	switch id {
	case cntvCTL:
		c.timer.control = v & (timerEnable | timerMask)
	case cntvCVAL:
		c.timer.compare = v
	case cntvTVAL:
		c.timer.compare = c.now() + uint64(int64(int32(v)))
	default:
		c.trap[id] = v
	}
}

// addressTranslate is AT: PAR_EL1 says where an address lies, or that it lies nowhere.
func (c *cpu) addressTranslate(va uint64) {
	const failed = 1 | fscTranslate3<<1
	v := uint64(failed)
	if m, ok := c.translate(va); ok {
		v = (m.pa + va - m.va) &^ 0xfff
	}
	c.SetSystem(par, v)
}
