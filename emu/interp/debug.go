package interp

import (
	"sync/atomic"

	"callops/asm"
	"callops/emu"
)

var _ emu.Debuggable = (*CPU)(nil)

// traps are where a debugger has the CPU stop. None costs the loop anything: a breakpoint is an inst that
// the loop does not know, and pages with a watchpoint get into no TLB.
type traps struct {
	set     *emu.Traps // nil: none
	pages   []watchedPages
	watched bool   // fault is an access that a watchpoint is for
	passed  uint64 // the count at which traps are passed by

	halted atomic.Bool
}

// watchedPages are the numbers of pages and the accesses there that a watchpoint is for.
type watchedPages struct {
	first, last uint64
	load, store bool
}

const (
	breakpoint = ^uint64(0) // the imm of an opExec: no row
	noCount    = ^uint64(0)
)

// SetTraps implements [emu.Debuggable].
func (c *CPU) SetTraps(set *emu.Traps) {
	old := c.traps.set
	c.traps.set, c.traps.pages = set, nil
	for _, t := range []*emu.Traps{old, set} {
		if t == nil {
			continue
		}
		for addr := range t.Breakpoints {
			c.TextChanged(addr, 4)
		}
	}
	c.ForgetPages()
	if set == nil {
		return
	}
	for _, w := range set.Watchpoints {
		if w.Size == 0 {
			continue
		}
		last := w.Addr + min(w.Size-1, ^w.Addr)
		c.traps.pages = append(c.traps.pages, watchedPages{w.Addr / emu.PageSize, last / emu.PageSize, w.Load, w.Store})
	}
}

// at is the inst to put at addr, which would be in without traps.
func (t *traps) at(in inst, addr uint64) inst {
	if !t.set.At(addr) {
		return in
	}
	if in.op.endsRun() {
		return inst{op: opExecEnd, imm: breakpoint}
	}
	return inst{op: opExec, imm: breakpoint}
}

// breakpoint stops, or executes the word that the breakpoint at pc is on.
func (c *CPU) breakpoint(w uint32) stop {
	if c.traps.passed != c.count {
		return stopBreakpoint
	}
	return rows[lookupRow(w)].exec(c, w)
}

// watch reports whether the page of addr is to be kept out of the TLB, and whether the access
// may be made.
func (c *CPU) watch(addr, size uint64, access emu.Access) (watched, ok bool) {
	page := addr / emu.PageSize
	for _, p := range c.traps.pages {
		watched = watched || p.first <= page && page <= p.last && (access == emu.Store && p.store || access == emu.Load && p.load)
	}
	if !watched || c.traps.passed == c.count || c.traps.set.Hit(addr, size, access) == nil {
		return watched, true
	}
	c.refuse(addr, size, access, emu.Denied)
	c.traps.watched = true
	return true, false
}

// Halt implements [emu.Debuggable].
func (c *CPU) Halt() {
	c.traps.halted.Store(true)
	c.changes.pending.Store(true)
}

// SystemRegister implements [emu.Debuggable].
func (c *CPU) SystemRegister(id uint16) (uint64, bool) {
	return c.readSysreg(asm.SysReg(id))
}

// SetSystemRegister implements [emu.Debuggable].
func (c *CPU) SetSystemRegister(id uint16, v uint64) bool {
	i, ok := storedRegs[asm.SysReg(id)]
	if ok {
		c.sys.stored[i] = v & storedMasks[i]
	}
	return ok
}

// ForgetPages implements [emu.Debuggable].
func (c *CPU) ForgetPages() {
	c.loads.clear()
	c.stores.clear()
}

// state implements [emu.CPUState].
type state struct {
	regs    emu.Regs
	count   uint64
	sys     sysregs
	monitor monitor
}

func (s *state) Count() uint64 { return s.count }

// Save implements [emu.Debuggable].
func (c *CPU) Save() emu.CPUState { return &state{c.regs, c.count, c.sys, c.monitor} }

// Restore implements [emu.Debuggable].
func (c *CPU) Restore(saved emu.CPUState) {
	s := saved.(*state) // one of another engine is the caller's bug
	c.regs, c.count, c.sys, c.monitor = s.regs, s.count, s.sys, s.monitor
	c.head = 0
	c.ForgetPages()
}
