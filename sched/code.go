package sched

import (
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
)

// code is what the scheduler has in the kernel: what can only be asked of a
// CPU, or told it, by executing instructions there.
type code struct {
	unmask, mask uint64 // local_daif_restore, local_daif_mask
	masked       uint64 // returns DAIF
	clearMonitor uint64 // CLREX, which the return from an exception implies
	schedule     uint64 // the gate
}

// daifI is DAIF's bit for interrupts.
const daifI = 1 << 7

const moduleName = "sched"

func (c *code) load(k *kernel.Kernel) error {
	p, err := k.PlaceCode(moduleName, kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		for name, inst := range map[string]asm.Inst{
			"sched_daif_unmask": asm.Word32(0xd5034fff), // msr daifclr, #15
			"sched_daif_mask":   asm.Word32(0xd5034fdf), // msr daifset, #15
			"sched_daif":        asm.Mrs(asm.X0, asm.DAIF),
			"sched_clrex":       asm.Word32(0xd5033f5f),
		} {
			b.Func(name)
			b.Emit(inst, asm.Ret())
		}
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return err
	}
	for _, sym := range p.Symbols {
		switch sym.Name {
		case "sched_daif_unmask":
			c.unmask = sym.Addr
		case "sched_daif_mask":
			c.mask = sym.Addr
		case "sched_daif":
			c.masked = sym.Addr
		case "sched_clrex":
			c.clearMonitor = sym.Addr
		}
	}
	// Calls by tasks are served before the gate's own function is: what gets
	// there is a call that can't be stopped half way.
	c.schedule, err = k.Gates.Add("schedule", func(emu.CPU, [8]uint64) (uint64, error) {
		return 0, fmt.Errorf("schedule in a call that no task made: %w", errno.EDEADLK)
	})
	return err
}

// exec executes one of these functions on a CPU, between two instructions of
// whatever runs there.
func (c *cpu) exec(fn uint64) (uint64, error) {
	regs := c.Regs()
	saved := *regs
	regs.PC, regs.X[30] = fn, emu.ReturnGate
	// Not s.ctx: a task that ends because of that still has to leave its CPU.
	exit, err := c.Run(background, 2)
	x0 := regs.X[0]
	*regs = saved
	if err == nil && exit.Reason == emu.ExitBudget {
		exit.Reason = emu.ExitGate // the RET was the second
	}
	if err == nil && exit.Reason != emu.ExitGate {
		err = &emu.ExitError{Exit: exit}
	}
	return x0, err
}
