package interp

// Hints, barriers, PSTATE and cache maintenance.

// execHint does nothing: there is nobody to yield to or wait for, and pointer
// authentication and branch targets are not checked.
func execHint(*CPU, uint32) stop { return stopNone }

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
	crm := w >> 8 & 15
	if fieldRd(w) != 31 {
		return stopUndefined
	}
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
	case 5: // SPSel: SP would become another register than callers know
		if crm&1 == 0 {
			return stopUnsupported
		}
	case 3<<3 | 6: // DAIFSet
		c.sys.daif |= uint64(crm) << 6
	case 3<<3 | 7: // DAIFClr
		c.sys.daif &^= uint64(crm) << 6
	default:
		return stopUndefined
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
// is seen by software. Text is coherent with stores here, so IC has none.
func execSys(c *CPU, w uint32) stop {
	op1, crn, crm, op2 := w>>16&7, w>>12&15, w>>8&15, w>>5&7
	addr := c.reg(fieldRd(w))
	switch {
	case crn == 7 && op1 == 3 && crm == 4 && op2 == 1:
		return c.zeroBlock(addr &^ (zeroBlockSize - 1))
	case crn == 7 && op1 == 3 && (crm == 12 || crm == 13) && op2 == 1: // DC CVAP, CVADP
		// QEMU looks whether the address can be read for these two alone.
		if _, ok := c.load(addr, 1); !ok {
			return stopFault
		}
	case crn == 7 && op1 == 0 && (crm == 1 || crm == 5) && op2 == 0: // IC IALLUIS, IALLU
	case crn == 7 && op1 == 3 && crm == 5 && op2 == 1: // IC IVAU
	case crn == 7 && op1 == 0 && crm == 6 && (op2 == 1 || op2 == 2): // DC IVAC, ISW
	case crn == 7 && op1 == 0 && (crm == 10 || crm == 14) && op2 == 2: // DC CSW, CISW
	case crn == 7 && op1 == 3 && (crm == 10 || crm == 11 || crm == 14) && op2 == 1: // DC CVAC, CVAU, CIVAC
	case crn == 8 && op1 == 0 && (crm == 3 || crm == 7) && op2 != 4 && op2 != 6: // TLBI
		fence()
	case crn == 7 && op1 == 0 && (crm == 8 || crm == 9): // AT
		return stopUnsupported
	default:
		return stopUndefined
	}
	return stopNone
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

func execUndefined(*CPU, uint32) stop   { return stopUndefined }
func execUnsupported(*CPU, uint32) stop { return stopUnsupported }
