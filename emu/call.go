package emu

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// DefaultBudget bounds a call that names no budget of its own: a loop that
// never ends is an error, not a hang.
const DefaultBudget = 1 << 32

// MaxArgs is how many arguments a call passes, all in registers (AAPCS64
// x0..x7).
const MaxArgs = 8

// recentOnError is how many instructions a CallError shows.
const recentOnError = 8

// ErrBudget: the function did not return within its instruction budget.
var ErrBudget = errors.New("instruction budget used up")

// CallOptions say how a guest function is called; the zero value will do.
type CallOptions struct {
	// Budget is how many instructions may execute, gates' own calls not
	// counted; 0 means DefaultBudget.
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
	Recent []uint64 // the instructions executed last, oldest first
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
}

// SetCall makes a CPU's registers those of a call of the function at addr, on
// the stack that SP names, which returns to [ReturnGate]. More than MaxArgs
// arguments are refused with E2BIG.
func (r *Regs) SetCall(addr uint64, args ...uint64) error {
	if len(args) > MaxArgs {
		return fmt.Errorf("call of %#x: %d arguments, at most %d are passed: %w", addr, len(args), MaxArgs, unix.E2BIG)
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
// happened; a gate may therefore Call on the CPU that reached it. More than
// MaxArgs arguments are refused with E2BIG.
func (c *Caller) Call(ctx context.Context, cpu CPU, opts *CallOptions, addr uint64, args ...uint64) (Result, error) {
	if opts == nil {
		opts = &CallOptions{}
	}
	regs := cpu.Regs()
	saved := *regs
	defer func() { *regs = saved }()

	if err := regs.SetCall(addr, args...); err != nil {
		return Result{}, err
	}
	start := cpu.Count()
	exit, err := c.run(ctx, cpu, opts)
	if err != nil {
		return Result{Count: cpu.Count() - start}, NewCallError(cpu, addr, exit, err)
	}
	return Result{X0: regs.X[0], Count: cpu.Count() - start}, nil
}

// NewCallError describes a call that ended so on cpu, whose registers are still
// those of the call.
func NewCallError(cpu CPU, addr uint64, exit Exit, err error) *CallError {
	return &CallError{Addr: addr, Exit: exit, Regs: *cpu.Regs(), Recent: cpu.Recent(recentOnError), Err: err}
}

// run executes until ReturnGate, serving the gates on the way.
func (c *Caller) run(ctx context.Context, cpu CPU, opts *CallOptions) (Exit, error) {
	left := opts.Budget
	if left == 0 {
		left = DefaultBudget
	}
	for {
		before := cpu.Count()
		exit, err := c.resume(ctx, cpu, opts, left)
		if err != nil {
			return exit, err
		}
		left -= min(left, cpu.Count()-before)
		returned, err := c.Serve(cpu, exit)
		if err == nil && exit.Reason == ExitBudget && left == 0 {
			err = fmt.Errorf("at %#x: %w", exit.PC, ErrBudget)
		}
		if err != nil || returned {
			return exit, err
		}
	}
}

// Serve does what a CPU that stopped within a call asks for: it calls the gate
// that the CPU stands on, after which the CPU can go on. returned says that
// the call is over, its result in x0. What no gate serves is the error that ends
// the call.
func (c *Caller) Serve(cpu CPU, exit Exit) (returned bool, err error) {
	switch exit.Reason {
	case ExitGate:
		if exit.PC == ReturnGate {
			return true, nil
		}
		return false, c.serve(cpu, exit.PC)
	case ExitBudget:
		return false, nil
	case ExitFault:
		return false, exit.Fault
	default:
		return false, &ExitError{exit}
	}
}

func (c *Caller) resume(ctx context.Context, cpu CPU, opts *CallOptions, budget uint64) (Exit, error) {
	if opts.OnStep == nil {
		return cpu.Run(ctx, budget)
	}
	if err := ctx.Err(); err != nil {
		return Exit{PC: cpu.Regs().PC}, err
	}
	before := *cpu.Regs()
	exit, err := cpu.Step()
	if err == nil && exit.Reason == ExitBudget {
		opts.OnStep(cpu, &before)
	}
	return exit, err
}

// serve calls the gate at pc and returns to its caller in the guest.
func (c *Caller) serve(cpu CPU, pc uint64) error {
	g, ok := c.Gates.at(pc)
	if !ok {
		return &Fault{Addr: pc, Access: Fetch, Kind: Unmapped, PC: pc}
	}
	regs := cpu.Regs()
	ret := regs.X[30]
	x0, err := g.fn(cpu, [8]uint64(regs.X[:8]))
	if err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	regs.X[0], regs.PC = x0, ret
	return nil
}
