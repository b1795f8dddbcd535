package interp

import (
	"callops/asm"
	"callops/emu"
)

// What a machine around the CPU needs that takes exceptions, beyond [emu.CPU].

// maskIRQ is PSTATE.I, as DAIF has it.
const maskIRQ = 1 << 7

// Hints at which a CPU may stop.
const (
	yield = 0xd503203f
	wfe   = 0xd503205f
	wfi   = 0xd503207f
)

// System returns a system register as MRS reads it; ok is false for one that the CPU does not have.
func (c *CPU) System(id asm.SysReg) (value uint64, ok bool) {
	switch id { // of the file that belongs to the registers while the CPU is stopped
	case asm.SP_EL0:
		return c.regs.SPEL0, true
	case asm.TPIDR_EL1:
		return c.regs.TPIDREL1, true
	case asm.TPIDR_EL0:
		return c.regs.TPIDREL0, true
	case asm.NZCV:
		return uint64(c.regs.NZCV), true
	}
	return c.readSysreg(id)
}

// SetSystem sets a register that [emu.Regs] does not have while the CPU is stopped: those that are
// stored, DAIF, PSTATE.PAN and UAO, the counter, which goes on from value, and MPIDR_EL1. It reports
// whether id is one of them.
func (c *CPU) SetSystem(id asm.SysReg, value uint64) bool {
	switch id {
	case asm.CNTVCT_EL0:
		c.sys.counterOffset = value - c.count
		return true
	case asm.MPIDR_EL1:
		c.sys.mpidr = value
		return true
	}
	return c.writeSysreg(id, value)
}

// Supervise has Run return at WFI, and before an instruction where an interrupt is pending
// that is not masked.
func (c *CPU) Supervise() { c.supervised = true }

// SetInterrupt says whether an interrupt is pending. Only a supervised CPU heeds it.
func (c *CPU) SetInterrupt(pending bool) { c.irq = pending }

// WatchSpins says whether Run of a supervised CPU returns after WFE and YIELD too, by which code that waits for another CPU says so.
func (c *CPU) WatchSpins(on bool) { c.watchSpins = on }

// attend has the loop look at what [CPU.attention] returns.
func (c *CPU) attend() {
	if c.supervised {
		c.changes.pending.Store(true)
	}
}

// attention is why a supervised CPU does not go on.
func (c *CPU) attention() (emu.ExitReason, bool) {
	switch {
	case c.waits:
		c.waits = false
		return emu.ExitWait, true
	case c.spins:
		c.spins = false
		return emu.ExitSpin, true
	case c.irq && c.sys.daif&maskIRQ == 0:
		return emu.ExitInterrupt, true
	}
	return 0, false
}

// Unmapped implements [emu.UnmapObserver].
func (c *CPU) Unmapped(addr, size uint64) {
	last := (addr + size - 1) &^ pageMask
	if size > tlbSize*emu.PageSize {
		c.loads.clear()
		c.stores.clear()
	} else {
		for page := addr; page <= last && page >= addr; page += emu.PageSize {
			c.loads.forget(page)
			c.stores.forget(page)
		}
	}
	if size/emu.PageSize > uint64(len(c.pages)) {
		for _, p := range c.pages {
			if p.base-addr < size {
				c.unmapPage(p)
			}
		}
		return
	}
	for page := addr; page <= last && page >= addr; page += emu.PageSize {
		if p := c.pages[page]; p != nil {
			c.unmapPage(p)
		}
	}
}

// unmapPage forgets a page of text. What lies at its address next is decoded into the same page.
func (c *CPU) unmapPage(p *page) {
	p.drop()
	p.host = nil
	c.changes.pending.Store(true)
}

// forget drops the entry of a page.
func (t *tlb) forget(addr uint64) {
	if e := &t[slotOf(addr)]; e.page == addr/emu.PageSize {
		*e = emptyEntry
	}
}

// ClearExclusive loses the CPU's exclusive monitor, as ERET and CLREX do.
func (c *CPU) ClearExclusive() { c.monitor.clear() }
