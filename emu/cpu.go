package emu

import (
	"context"
	"fmt"
)

// Regs is the state of one CPU that guest code and its callers share. An
// engine loads it when the CPU stops and uses what stands in it when the CPU
// goes on.
type Regs struct {
	X  [31]uint64
	SP uint64 // SP_EL1; the CPU runs with PSTATE.SPSel = 1
	PC uint64

	// NZCV holds the flags in bits 31:28, as the system register does.
	NZCV uint32

	SPEL0    uint64 // the current task, as on Linux
	TPIDREL1 uint64 // the per-CPU base
	TPIDREL0 uint64
}

// NewEngine opens an engine over mem. Every engine package exports one.
type NewEngine func(mem *Memory) (Engine, error)

// Engine makes CPUs over one [Memory].
type Engine interface {
	// Name is the engine's name on the command line: "unicorn", "interp".
	Name() string

	// NewCPU makes the CPU with the given number, stopped, all registers zero.
	// A region mapped later is seen from the CPU's next Run on.
	NewCPU(id int) (CPU, error)

	// Close closes the engine and every CPU it made.
	Close() error
}

// CPU executes guest code. It belongs to one goroutine at a time.
type CPU interface {
	ID() int

	// Regs returns the CPU's registers, to read and write while it is stopped.
	// The pointer stays the same for the CPU's life.
	Regs() *Regs

	// Run executes from Regs().PC until something ends it, at most budget
	// instructions, and says what did. What guest code did wrong is an Exit;
	// the error is for a host failure or a ctx that ended.
	//
	// A PC inside the gate area ends Run before anything there executes, so a
	// Run that starts on a gate ends at once with ExitGate.
	Run(ctx context.Context, budget uint64) (Exit, error)

	// Step executes one instruction. Exit.Reason is ExitBudget when it did.
	Step() (Exit, error)

	// Count returns how many instructions the CPU has executed in its life. An
	// instruction that faults was not executed. Guest code reads the same
	// number from CNTVCT_EL0: instructions executed before that MRS.
	Count() uint64

	// Calls returns the calls in progress on the CPU. The pointer stays the same
	// for the CPU's life; an engine does nothing with what it points at.
	Calls() *CallStack

	// Recent returns the addresses of up to n instructions executed last,
	// oldest first.
	Recent(n int) []uint64
}

// ExitReason is the reason why a CPU stopped.
type ExitReason uint8

const (
	// ExitBudget: the instructions allowed have been executed.
	ExitBudget ExitReason = iota
	// ExitGate: PC stands on a gate, which has not been served yet.
	ExitGate
	// ExitFault: an access that memory refuses; Exit.Fault describes it. PC
	// stands on the instruction that made it (for a fetch: on the address
	// that could not be fetched).
	ExitFault
	// ExitUndefined: the word at PC is no instruction the engine knows.
	ExitUndefined
	// ExitException: SVC, HVC, SMC, BRK or HLT; PC stands on it.
	ExitException
	// ExitInterrupt: an interrupt is pending and not masked, on a CPU that is told of them.
	ExitInterrupt
	// ExitWait: WFI has been executed, on a CPU that is told of interrupts.
	ExitWait
	// ExitBreakpoint: a breakpoint of a [Debuggable] CPU; PC stands on it.
	ExitBreakpoint
	// ExitWatchpoint: the instruction at PC would make the access that Exit.Fault describes, which a
	// watchpoint of a [Debuggable] CPU is for.
	ExitWatchpoint
	// ExitHalted: somebody called [Debuggable].Halt.
	ExitHalted
	// ExitSpin: WFE or YIELD has been executed, on a CPU that is told of them.
	ExitSpin
)

// Exit is why a CPU stopped, and where.
type Exit struct {
	Reason ExitReason
	PC     uint64
	Word   uint32 // the instruction at PC, for ExitUndefined and ExitException
	Fault  *Fault // for ExitFault and ExitWatchpoint
}

func (e Exit) String() string {
	switch e.Reason {
	case ExitBudget:
		return fmt.Sprintf("budget used up at %#x", e.PC)
	case ExitGate:
		return fmt.Sprintf("gate %#x", e.PC)
	case ExitFault:
		return e.Fault.Error()
	case ExitUndefined:
		return fmt.Sprintf("undefined instruction %#08x at %#x", e.Word, e.PC)
	case ExitException:
		return fmt.Sprintf("exception from instruction %#08x at %#x", e.Word, e.PC)
	case ExitInterrupt:
		return fmt.Sprintf("interrupt at %#x", e.PC)
	case ExitWait:
		return fmt.Sprintf("waiting for an interrupt at %#x", e.PC)
	}
	names := [...]string{ExitBreakpoint: "breakpoint", ExitWatchpoint: "watchpoint", ExitHalted: "halted", ExitSpin: "spinning"}
	if int(e.Reason) < len(names) {
		return fmt.Sprintf("%s at %#x", names[e.Reason], e.PC)
	}
	return fmt.Sprintf("exit %d at %#x", e.Reason, e.PC)
}
