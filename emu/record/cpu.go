package record

import (
	"context"
	"fmt"

	"callops/asm"
	"callops/emu"
)

// CPU implements [emu.CPU].
type CPU struct {
	emu.CPU
	mem  *emu.Memory
	tell func(*Insn) error
	insn Insn // that of the step; its slice is used again
}

// UnknownError is an instruction that was executed, and whose accesses are not
// known.
type UnknownError struct {
	PC   uint64
	Word uint32
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("record: the accesses of %s at %#x are not known", asm.Disassemble(e.Word, e.PC, nil), e.PC)
}

// Observe has tell called after each instruction that the CPU executes from now
// on, until the next Observe; nil ends it. What it is told is valid for the
// call only. Its error ends Run and Step; the instruction has been executed.
// It may call Observe.
func (c *CPU) Observe(tell func(*Insn) error) { c.tell = tell }

// Run implements [emu.CPU].
func (c *CPU) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	const look = 1 << 12 // instructions between two looks at the context
	for n := uint64(0); ; n++ {
		if c.tell == nil {
			return c.CPU.Run(ctx, budget-n)
		}
		pc := c.Regs().PC
		if emu.InGates(pc) {
			return emu.Exit{Reason: emu.ExitGate, PC: pc}, nil
		}
		if n%look == 0 {
			if err := ctx.Err(); err != nil {
				return emu.Exit{PC: pc}, err
			}
		}
		if n == budget {
			return emu.Exit{PC: pc}, nil
		}
		if exit, err := c.Step(); err != nil || exit.Reason != emu.ExitBudget {
			return exit, err
		}
	}
}

// Step implements [emu.CPU].
func (c *CPU) Step() (emu.Exit, error) {
	if c.tell == nil || emu.InGates(c.Regs().PC) {
		return c.CPU.Step()
	}
	word, err := c.mem.Load32(c.Regs().PC)
	if err != nil {
		return c.CPU.Step() // which says why
	}
	in := &c.insn
	known := in.decode(c.mem, c.Regs(), word)
	exit, err := c.CPU.Step()
	if err != nil || exit.Reason != emu.ExitBudget {
		return exit, err
	}
	if !known {
		return exit, &UnknownError{in.PC, word}
	}
	if err := in.executed(c.mem, c.Regs()); err != nil {
		return exit, fmt.Errorf("record: %s at %#x: %w", asm.Disassemble(word, in.PC, nil), in.PC, err)
	}
	return exit, c.tell(in)
}
