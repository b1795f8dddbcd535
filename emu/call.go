package emu

import (
	"context"
	"errors"
	"fmt"

	"callops/internal/errno"
)

// DefaultBudget bounds a call that names no budget of its own: a loop that
// never ends is an error, not a hang.
const DefaultBudget = 1 << 32

// MaxArgs is how many arguments a call passes, all in registers (AAPCS64
// x0..x7).
const MaxArgs = 8

// recentOnError is how many instructions a CallError shows.
const recentOnError = 8

// ErrBudget is that a function did not return within its budget of instructions
// and gates.
var ErrBudget = errors.New("instruction budget used up")

// CallOptions control how a guest function is called; the zero value is usable.
type CallOptions struct {
	// Budget bounds the call: each instruction executed takes one of it, and so
	// does each gate served, calls by gates included. 0 means DefaultBudget. A
	// call that a gate makes has at most what the call around it has left,
	// which is also what 0 means there.
	Budget uint64

	// OnStep, when set, makes the call run one instruction at a time and is
	// called after each with the registers as they were before it.
	OnStep func(cpu CPU, before *Regs)
}

// Result is what a call gave.
type Result struct {
	X0    uint64
	Count uint64 // instructions executed on the CPU, nested calls included
}

// CallError is a call that did not return. It unwraps to what ended it: a
// *Fault, ErrBudget, a gate's error, or the context's.
type CallError struct {
	Addr   uint64   // the function called
	Exit   Exit     // where and why the CPU stopped
	Regs   Regs     // as they were then
	Recent []uint64 // the instructions executed last, oldest first, of this call
	Err    error
}

func (e *CallError) Error() string { return fmt.Sprintf("call of %#x: %v", e.Addr, e.Err) }

func (e *CallError) Unwrap() error { return e.Err }

// ExitError is guest code that ended in something no gate serves: an
// undefined instruction or an exception.
type ExitError struct{ Exit Exit }

func (e *ExitError) Error() string { return e.Exit.String() }

// Caller calls guest functions on a CPU and serves the gates they reach.
type Caller struct {
	Gates *Gates

	// Exception, when set, handles [ExitException] and [ExitFault] on the CPU whose PC stands on
	// the instruction. nil: it moved the PC to where the CPU goes on. Otherwise
	// the error ends the call.
	Exception func(cpu CPU, exit Exit) error
}

// SetCall makes a CPU's registers those of a call of the function at addr, on
// the stack that SP names, which returns to [ReturnGate]. More than MaxArgs
// arguments are refused with E2BIG.
func (r *Regs) SetCall(addr uint64, args ...uint64) error {
	if len(args) > MaxArgs {
		return fmt.Errorf("call of %#x: %d arguments, at most %d are passed: %w", addr, len(args), MaxArgs, errno.E2BIG)
	}
	copy(r.X[:], args)
	clear(r.X[len(args):MaxArgs])
	r.X[30] = ReturnGate
	r.PC = addr
	r.SP &^= 15
	return nil
}

// Call runs the function at addr on cpu, on the stack that SP names, until it
// returns. The registers are the CPU's own again afterwards, whatever
// happened; a gate may therefore Call on the CPU that reached it. Such a call
// shares the budget and the context of the call around it, and ends when either
// does; a [*DepthError] refuses it once MaxDepth calls are in progress. More
// than MaxArgs arguments are refused with E2BIG.
func (c *Caller) Call(ctx context.Context, cpu CPU, opts *CallOptions, addr uint64, args ...uint64) (Result, error) {
	if opts == nil {
		opts = &CallOptions{}
	}
	calls := cpu.Calls()
	frame, err := calls.Enter(ctx, addr, opts.Budget)
	if err != nil {
		return Result{}, err
	}
	defer calls.Leave(frame)
	regs := cpu.Regs()
	saved := *regs
	defer func() { *regs = saved }()

	if err := regs.SetCall(addr, args...); err != nil {
		return Result{}, err
	}
	start := cpu.Count()
	exit, err := c.run(frame.Ctx, cpu, opts)
	if err != nil {
		return Result{Count: cpu.Count() - start}, NewCallError(cpu, addr, cpu.Count()-start, exit, err)
	}
	return Result{X0: regs.X[0], Count: cpu.Count() - start}, nil
}

// NewCallError describes a call that executed count instructions and ended so on
// cpu, whose registers are still those of the call.
func NewCallError(cpu CPU, addr, count uint64, exit Exit, err error) *CallError {
	recent := cpu.Recent(int(min(count, recentOnError)))
	return &CallError{Addr: addr, Exit: exit, Regs: *cpu.Regs(), Recent: recent, Err: err}
}

// run executes until ReturnGate, serving the gates on the way.
func (c *Caller) run(ctx context.Context, cpu CPU, opts *CallOptions) (Exit, error) {
	calls := cpu.Calls()
	for {
		exit, err := resume(ctx, cpu, opts)
		if err != nil {
			return exit, err
		}
		// The result of a step does not show that it led to a gate.
		if exit.Reason == ExitBudget && calls.Left() == 0 && !InGates(exit.PC) {
			return exit, OutOfBudget(exit.PC)
		}
		if returned, err := c.Serve(cpu, exit); err != nil || returned {
			return exit, err
		}
	}
}

// Serve does what a CPU that stopped within a call asks for: it calls the gate
// that the CPU stands on, or handles an exception, after which the CPU can go on.
// returned reports that the call is over, its result in x0. What neither serves
// is the error that ends the call. Both are charged to the CPU's [CallStack].
func (c *Caller) Serve(cpu CPU, exit Exit) (returned bool, err error) {
	switch exit.Reason {
	case ExitGate:
		if exit.PC == ReturnGate {
			return true, nil
		}
		if err := cpu.Calls().Charge(exit.PC); err != nil {
			return false, err
		}
		return false, c.Gates.Serve(cpu, exit.PC)
	case ExitBudget:
		return false, nil
	case ExitFault, ExitException:
		return false, c.except(cpu, exit)
	default:
		return false, &ExitError{exit}
	}
}

// resume executes on, as far as the budget goes, and takes from it what was
// executed.
func resume(ctx context.Context, cpu CPU, opts *CallOptions) (Exit, error) {
	calls, before := cpu.Calls(), cpu.Count()
	if opts.OnStep == nil || calls.Left() == 0 {
		exit, err := cpu.Run(ctx, calls.Left())
		calls.Spend(cpu.Count() - before)
		return exit, err
	}
	if err := ctx.Err(); err != nil {
		return Exit{PC: cpu.Regs().PC}, err
	}
	regs := *cpu.Regs()
	exit, err := cpu.Step()
	calls.Spend(cpu.Count() - before)
	if err == nil && exit.Reason == ExitBudget {
		opts.OnStep(cpu, &regs)
	}
	return exit, err
}

func (c *Caller) except(cpu CPU, exit Exit) error {
	switch {
	case c.Exception != nil:
	case exit.Reason == ExitFault:
		return exit.Fault
	default:
		return &ExitError{exit}
	}
	if err := c.Exception(cpu, exit); err != nil {
		return err
	}
	return cpu.Calls().Charge(exit.PC)
}
