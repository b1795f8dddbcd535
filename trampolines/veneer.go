package trampolines

import (
	"fmt"

	"callops/asm"
	"callops/internal/errno"
	"callops/kernel"
)

// A veneer carries the call at ftrace_call further than BL reaches: the
// target's address in x16, at most four moves, and BR, as in a module's PLT
// (arch/arm64/kernel/module-plts.c). x16 is the linker's to use, so tracers
// expect nothing in it.
const (
	veneerSize = 5 * insnSize
	maxVeneers = 256
)

// veneers are those made so far; each stays for good, since a CPU may be in it.
type veneers struct {
	base    uint64
	targets []uint64
}

func (c *code) veneerArea() { c.Zero(maxVeneers * veneerSize) }

// Reach returns where the BL at ftrace_call has to go to call addr: addr
// itself, or a veneer that leads there. With CALL_OPS nothing is called from
// there, EINVAL; with too many tracers out of range it is ENOSPC.
func (c *Code) Reach(k *kernel.Kernel, addr uint64) (uint64, error) {
	if c.CallSlot == 0 {
		return 0, fmt.Errorf("reach %s: there is no ftrace_call with CALL_OPS: %w", k.Symbols.Format(addr), errno.EINVAL)
	}
	if _, err := asm.EncodeBL(c.CallSlot, addr); err == nil {
		return addr, nil
	}
	v := &c.veneers
	for i, target := range v.targets {
		if target == addr {
			return v.base + uint64(i)*veneerSize, nil
		}
	}
	if len(v.targets) == maxVeneers {
		return 0, fmt.Errorf("reach %s: all %d veneers are taken: %w", k.Symbols.Format(addr), maxVeneers, errno.ENOSPC)
	}
	at := v.base + uint64(len(v.targets))*veneerSize
	if err := writeVeneer(k, at, addr); err != nil {
		return 0, fmt.Errorf("veneer to %s: %w", k.Symbols.Format(addr), err)
	}
	v.targets = append(v.targets, addr)
	return at, nil
}

// writeVeneer writes where no CPU has a branch to yet.
func writeVeneer(k *kernel.Kernel, at, target uint64) error {
	b := asm.NewBuilder()
	b.Emit(asm.MovImm(asm.X16, target)...)
	b.Emit(asm.Br(asm.X16))
	p, err := b.Assemble(at)
	if err != nil {
		return err
	}
	if err := k.Mem.Write(at, p.Code); err != nil {
		return err
	}
	k.Mem.SyncText(at, veneerSize)
	return nil
}
