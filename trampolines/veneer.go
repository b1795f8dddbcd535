package trampolines

import (
	"fmt"

	"callops/asm"
	"callops/internal/errno"
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

// Text is where Reach writes: a kernel's memory, or what stands before it.
type Text interface {
	Write(addr uint64, p []byte) error
	SyncText(addr, size uint64)
}

// Reach returns where the BL at ftrace_call has to go to call addr: addr
// itself, or a veneer that leads there, written where no CPU has a branch to yet. With CALL_OPS nothing is called from
// there, EINVAL; with too many tracers out of range it is ENOSPC.
func (c *Code) Reach(text Text, addr uint64) (uint64, error) {
	if c.CallSlot == 0 {
		return 0, fmt.Errorf("reach %#x: there is no ftrace_call with CALL_OPS: %w", addr, errno.EINVAL)
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
		return 0, fmt.Errorf("reach %#x: all %d veneers are taken: %w", addr, maxVeneers, errno.ENOSPC)
	}
	at := v.base + uint64(len(v.targets))*veneerSize
	if err := writeVeneer(text, at, addr); err != nil {
		return 0, fmt.Errorf("veneer to %#x: %w", addr, err)
	}
	v.targets = append(v.targets, addr)
	return at, nil
}

func writeVeneer(text Text, at, target uint64) error {
	b := asm.NewBuilder()
	b.Emit(asm.MovImm(asm.X16, target)...)
	b.Emit(asm.Br(asm.X16))
	p, err := b.Assemble(at)
	if err != nil {
		return err
	}
	if err := text.Write(at, p.Code); err != nil {
		return err
	}
	text.SyncText(at, veneerSize)
	return nil
}
