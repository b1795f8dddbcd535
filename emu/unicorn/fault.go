//go:build cgo

package unicorn

import (
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/emu/isa"
)

func fetchFault(pc uint64, kind emu.FaultKind) emu.Exit {
	return emu.Exit{Reason: emu.ExitFault, PC: pc, Fault: &emu.Fault{
		Addr: pc, Size: 4, Access: emu.Fetch, Kind: kind, PC: pc,
	}}
}

// fetch is asked about an instruction that the MMU did not let the library
// read: its page has not been opened, or it cannot be executed.
func (c *CPU) fetch(pc uint64) (emu.Exit, bool, error) {
	page, t := pc&^pageMask, c.state.text
	r := c.engine.mem.Region(pc)
	if r == nil || r.Perm&emu.Exec == 0 {
		return fetchFault(pc, c.refusal(pc)), true, nil
	}
	var err error
	switch {
	case t.refuses(pc): // an exit that begins a page makes the library look at the page before
	case t.isOpen(pc):
		err = fmt.Errorf("unicorn: cpu %d: the library cannot fetch from %#x in %s", c.id, pc, r.Name)
	case isWritable(r):
		err = c.engine.writable.open(r, page, c)
	default:
		err = t.openPage(page, r)
	}
	return emu.Exit{PC: pc}, err != nil, err
}

// atExit ends a run at a word that must not be translated, unless it has been
// changed for another one, or is one that is executed here.
func (c *CPU) atExit(pc uint64) (emu.Exit, bool, error) {
	word, err := c.engine.mem.Load32(pc)
	if err != nil {
		return emu.Exit{PC: pc}, true, err
	}
	if contained(word) {
		return emu.Exit{PC: pc}, false, c.textChanged(pc, 4)
	}
	if all, ok := isa.TextMaintenance(word); ok {
		c.invalidateText(word, all)
		return emu.Exit{PC: c.regs.PC}, false, nil
	}
	if id, write, ok := isa.Emulated(word); ok && isa.Classify(word) == isa.Executed {
		c.move(word, id, write)
		return emu.Exit{PC: c.regs.PC}, false, nil
	}
	exit, err := refused(word, pc)
	return exit, true, err
}

// move executes MRS and MSR of a register that the library must not have, at PC.
func (c *CPU) move(word uint32, id asm.SysReg, write bool) {
	rt := word & 31
	switch {
	case write && rt < 31:
		c.kept[id] = c.regs.X[rt]
	case write:
		c.kept[id] = 0
	case rt < 31:
		c.regs.X[rt] = c.read(id)
	}
	c.executed(c.regs.PC)
	c.regs.PC += 4
}

// read is what such a register holds.
func (c *CPU) read(id asm.SysReg) uint64 {
	if v, ok := c.kept[id]; ok {
		return v
	}
	if v, ok := c.engine.mem.Register(uint16(id)); ok {
		return v
	}
	r, _ := isa.Lookup(id)
	return r.Value
}

// invalidateText executes IC, at PC.
func (c *CPU) invalidateText(word uint32, all bool) {
	if rt := word & 31; all {
		c.engine.mem.SyncAllText()
	} else if rt < 31 {
		c.engine.mem.SyncText(c.regs.X[rt]&^(isa.TextLine-1), isa.TextLine)
	}
	c.executed(c.regs.PC)
	c.regs.PC += 4
}

// refused is the end of a run at a word that is not executed.
func refused(word uint32, pc uint64) (emu.Exit, error) {
	if isa.Classify(word) == isa.Unsupported {
		return emu.Exit{PC: pc, Word: word}, &emu.UnsupportedError{PC: pc, Word: word, Text: asm.Disassemble(word, pc, nil)}
	}
	return emu.Exit{Reason: emu.ExitUndefined, PC: pc, Word: word}, nil
}

// refusal tells why an access at addr is refused that memory does not permit.
func (c *CPU) refusal(addr uint64) emu.FaultKind {
	if c.engine.mem.Region(addr) == nil {
		return emu.Unmapped
	}
	return emu.Denied
}

// dataFault finds the access of the instruction at PC that was refused.
func (c *CPU) dataFault() (emu.Exit, bool, error) {
	pc := c.regs.PC
	word, err := c.engine.mem.Load32(pc)
	if err != nil {
		return emu.Exit{PC: pc}, true, err
	}
	a, ok := dataAccess(word, &c.regs)
	if !ok {
		return emu.Exit{PC: pc}, true, fmt.Errorf("unicorn: cpu %d: data abort from instruction %#08x at %#x", c.id, word, pc)
	}
	if again, err := c.written(a); again || err != nil {
		return emu.Exit{PC: pc}, err != nil, err
	}
	f := &emu.Fault{Addr: a.addr, Size: a.size, Access: a.kind, PC: pc}
	f.Addr, f.Kind = c.fault(a)
	return emu.Exit{Reason: emu.ExitFault, PC: pc, Fault: f}, true, nil
}

// written lets pages be written that a store is about and that could only be
// executed so far; it reports whether there were any.
func (c *CPU) written(a access) (again bool, err error) {
	if a.kind != emu.Store || !c.shares {
		return false, nil
	}
	for _, addr := range []uint64{a.addr, a.addr + a.size*a.n - 1} {
		r := c.engine.mem.Region(addr)
		if r == nil || !isWritable(r) {
			continue
		}
		was, err := c.engine.writable.write(r, addr&^pageMask)
		if err != nil {
			return false, err
		}
		again = again || was
	}
	return again, nil
}

// fault returns the first address of the access that is at fault.
func (c *CPU) fault(a access) (uint64, emu.FaultKind) {
	switch {
	case a.aligned && a.addr%(a.size*a.n) != 0:
		return a.addr, emu.Misaligned
	case a.user:
		return a.addr, c.refusal(a.addr)
	}
	need := emu.Read
	if a.kind == emu.Store {
		need = emu.Write
	}
	for i := range a.n {
		first := a.addr + i*a.size
		last := first + a.size - 1
		for _, addr := range []uint64{first, last &^ (emu.PageSize - 1)} {
			if addr < first && addr != first {
				continue // all in one page
			}
			if r := c.engine.mem.Region(addr); r == nil || r.Perm&need == 0 {
				return addr, c.refusal(addr)
			}
		}
	}
	return a.addr, emu.Misaligned
}

// raisesException reports SVC, HVC, SMC, BRK and HLT. Some of them are
// undefined as the CPU stands, with no EL2 and no debugger.
func raisesException(word uint32) bool {
	switch word & 0xffe0001f {
	case 0xd4000001, 0xd4000002, 0xd4000003, 0xd4200000, 0xd4400000:
		return true
	}
	return false
}
