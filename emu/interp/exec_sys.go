package interp

import (
	"callops/emu"
	"callops/emu/isa"
)

// Hints, barriers, PSTATE and cache maintenance.

// execHint does nothing but where a supervised CPU waits: pointer authentication and branch targets are
// not checked.
func execHint(c *CPU, w uint32) stop {
	switch {
	case !c.supervised:
	case w == wfi:
		c.waits = true
		c.attend()
	case c.watchSpins && (w == wfe || w == yield):
		c.spins = true
		c.attend()
	}
	return stopNone
}

// execBarrier is CLREX, DSB, DMB, ISB and SB. Any of the barriers orders
// everything.
func execBarrier(c *CPU, w uint32) stop {
	switch w >> 5 & 7 {
	case 2:
		c.monitor.clear()
	case 4, 5:
		fence()
	case 6: // ISB: changed text is looked at before every instruction anyway
	case 7:
		if w>>8&15 != 0 {
			return stopUndefined
		}
	default:
		return stopUndefined
	}
	return stopNone
}

// execMsrImmediate is MSR (immediate) and the instructions on flags that share
// its encoding.
func execMsrImmediate(c *CPU, w uint32) stop {
	if isa.Classify(w) != isa.Executed {
		return refused(w)
	}
	crm := w >> 8 & 15
	switch w>>16&7<<3 | w>>5&7 {
	case 0: // CFINV
		c.flags.set(c.flags.get() ^ flagC)
	case 1: // XAFLAG
		c.flags.set(xaflag(c.flags.get()))
	case 2: // AXFLAG
		c.flags.set(axflag(c.flags.get()))
	case 3:
		c.sys.uao = crm&1 == 1
	case 4:
		c.sys.pan = crm&1 == 1
	case 3<<3 | 6: // DAIFSet
		c.sys.daif |= uint64(crm) << 6
	case 3<<3 | 7: // DAIFClr
		c.sys.daif &^= uint64(crm) << 6
		c.attend()
	}
	return stopNone
}

// xaflag turns flags as another format of floating point comparison has them
// into Arm's, axflag turns them back.
func xaflag(f uint32) uint32 {
	z, c := f&flagZ != 0, f&flagC != 0
	return bit(!c && !z, flagN) | bit(z && c, flagZ) | bit(c || z, flagC) | bit(!c && z, flagV)
}

func axflag(f uint32) uint32 {
	z, c, v := f&flagZ != 0, f&flagC != 0, f&flagV != 0
	return bit(z || v, flagZ) | bit(c && !v, flagC)
}

// zeroBlockSize is what DCZID_EL0 says.
const zeroBlockSize = 64

// execSys is SYS: cache and TLB maintenance, which has nothing to do but what
// is seen by software.
func execSys(c *CPU, w uint32) stop {
	if isa.Classify(w) != isa.Executed {
		return refused(w)
	}
	addr := c.reg(fieldRd(w))
	switch w >> 5 & 0x3fff { // op1, CRn, CRm, op2
	case 3<<11 | 7<<7 | 4<<3 | 1: // DC ZVA
		return c.zeroBlock(addr &^ (zeroBlockSize - 1))
	case 3<<11 | 7<<7 | 12<<3 | 1, 3<<11 | 7<<7 | 13<<3 | 1: // DC CVAP, CVADP
		// QEMU looks whether the address can be read for these two alone.
		if _, ok := c.load(addr, 1); !ok {
			return stopFault
		}
	}
	if all, ok := isa.TextMaintenance(w); ok {
		c.invalidateText(all, addr)
	}
	if w>>12&15 == 8 { // TLBI
		fence()
		if t := c.engine.mem.Translation(); t != nil {
			invalidateTranslation(t, w, addr)
		}
	}
	return stopNone
}

// invalidateText is IC. The CPU that executed it sees what it stored itself anyhow, the
// others from now on.
func (c *CPU) invalidateText(all bool, addr uint64) {
	if all {
		c.engine.mem.SyncAllText()
	} else {
		c.engine.mem.SyncText(addr&^(isa.TextLine-1), isa.TextLine)
	}
}

// invalidateTranslation is TLBI. Its register holds bits 55:12 of an address, unless it is of all
// addresses or of those of an ASID.
func invalidateTranslation(t emu.Translation, w uint32, reg uint64) {
	switch w >> 5 & 7 {
	case 0, 2: // VMALLE1, ASIDE1
		t.Invalidate(true, 0)
	default:
		t.Invalidate(false, uint64(int64(reg<<20)>>8))
	}
}

// zeroBlock is DC ZVA.
func (c *CPU) zeroBlock(addr uint64) stop {
	if _, ok := c.writable(addr, zeroBlockSize, zeroBlockSize); !ok {
		return stopFault
	}
	for off := uint64(0); off < zeroBlockSize; off += 8 {
		if !c.store(addr+off, 8, 0) {
			return stopFault
		}
	}
	return stopNone
}

// refused is how a word ends that is not executed.
func refused(w uint32) stop {
	if isa.Classify(w) == isa.Unsupported {
		return stopUnsupported
	}
	return stopUndefined
}

func execRefused(_ *CPU, w uint32) stop { return refused(w) }
