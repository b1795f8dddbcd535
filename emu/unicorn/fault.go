//go:build cgo

package unicorn

import (
	"fmt"

	"callops/emu"
)

func fetchFault(pc uint64, kind emu.FaultKind) emu.Exit {
	return emu.Exit{Reason: emu.ExitFault, PC: pc, Fault: &emu.Fault{
		Addr: pc, Size: 4, Access: emu.Fetch, Kind: kind, PC: pc,
	}}
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
	f := &emu.Fault{Addr: a.addr, Size: a.size, Access: a.kind, PC: pc}
	f.Addr, f.Kind = c.refused(a)
	return emu.Exit{Reason: emu.ExitFault, PC: pc, Fault: f}, true, nil
}

// refused returns the first address of the access that is at fault.
func (c *CPU) refused(a access) (uint64, emu.FaultKind) {
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
