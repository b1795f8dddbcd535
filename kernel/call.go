package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
)

// RunError is a call that did not return: the error of package emu with
// addresses as symbols. It unwraps to the *emu.CallError.
type RunError struct {
	Func      string     // the function called, as %pS
	PC        string     // where it ended, as %pS
	Recent    []string   // the instructions executed last, oldest first, as "symbol: text"
	Backtrace []uint64   // pc, then return addresses, innermost first
	Callers   []string   // the latter as %pS
	Freed     emu.Object // the freed object that the faulting address was taken from; no Name: none was
	Unwritten bool       // the faulting address is PoisonInUse, or near it
	InitFreed bool       // PC is in init text, which has been freed

	Err error
}

// PoisonInUse fills allocated memory that nobody has written (POISON_INUSE,
// include/linux/poison.h). As an address it faults.
const PoisonInUse = 0x5a5a_5a5a_5a5a_5a5a

func (e *RunError) Error() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s: stopped in %s: %v", e.Func, e.PC, cause(e.Err))
	if e.Freed.Name != "" {
		fmt.Fprintf(&sb, ": the address was taken from %s (%#x, %d bytes), which has been freed", e.Freed.Name, e.Freed.Addr, e.Freed.Size)
	}
	if e.Unwritten {
		sb.WriteString(": the address was taken from allocated memory that nobody wrote")
	}
	if e.InitFreed {
		sb.WriteString(": it is in init text, which has been freed")
	}
	return sb.String()
}

// cause drops what RunError says better.
func cause(err error) error {
	var call *emu.CallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}

func (e *RunError) Unwrap() error { return e.Err }

// Call runs the function at addr on a CPU, in that CPU's task and on its
// stack, with up to emu.MaxArgs arguments. When it fails the error is a
// *RunError, and the CPU stays usable: its registers, the task's preemption
// count and recursion bits are put back as they were. They are too where a gate
// panics or ends its goroutine.
//
// A gate may Call on the CPU that reached it.
func (k *Kernel) Call(ctx context.Context, cpu int, opts *emu.CallOptions, addr uint64, args ...uint64) (res emu.Result, err error) {
	c, err := k.cpu(cpu)
	if err != nil {
		return emu.Result{}, err
	}
	if k.claimed.Load() && !c.Calls().InProgress() {
		return emu.Result{}, fmt.Errorf("call of %s: the CPUs belong to a scheduler: %w", k.Symbols.Format(addr), errno.EBUSY)
	}
	before, err := k.SaveTask(c.Task)
	if err != nil {
		return emu.Result{}, err
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		if failed := k.RestoreTask(before); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	res, err = k.Caller().Call(ctx, c.CPU, opts, addr, args...)
	returned = err == nil
	var call *emu.CallError
	switch {
	case errors.As(err, &call):
		err = k.RunError(c.Stack, call)
	case err != nil:
		err = fmt.Errorf("%s: %w", k.Symbols.Format(addr), err)
	case !c.Calls().InProgress():
		err = k.leave(ctx, c)
	}
	return res, err
}

// OnReturn has fn called each time that a CPU has returned from a [Kernel.Call] and leaves the
// kernel, on the goroutine of the call: what an interrupt would do then. Its
// error is that of the call, whose result stays.
func (k *Kernel) OnReturn(fn func(ctx context.Context, cpu *CPU) error) {
	k.returned = append(k.returned, fn)
}

func (k *Kernel) leave(ctx context.Context, c *CPU) error {
	for _, fn := range k.returned {
		if err := fn(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// Claim takes the CPUs for another than [Kernel.Call], which refuses with EBUSY until
// they are released, but for a gate that calls on the CPU which reached it. EBUSY where they are taken.
func (k *Kernel) Claim() (release func(), err error) {
	if !k.claimed.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("the kernel's CPUs are taken: %w", errno.EBUSY)
	}
	return func() { k.claimed.Store(false) }, nil
}

// CallName is Call by the function's name.
func (k *Kernel) CallName(ctx context.Context, cpu int, opts *emu.CallOptions, name string, args ...uint64) (emu.Result, error) {
	addr, err := k.Func(name)
	if err != nil {
		return emu.Result{}, err
	}
	return k.Call(ctx, cpu, opts, addr, args...)
}

func (k *Kernel) cpu(id int) (*CPU, error) {
	if k.Engine == nil {
		return nil, fmt.Errorf("the kernel: %w", os.ErrClosed)
	}
	if id < 0 || id >= len(k.CPUs) {
		return nil, fmt.Errorf("no CPU %d, there are %d: %w", id, len(k.CPUs), errno.EINVAL)
	}
	return k.CPUs[id], nil
}

// RunError tells what an engine's error means on this kernel, for a call on the
// given stack. Where it is known what a fault means, call.Err becomes that.
func (k *Kernel) RunError(stack kernelimage.Range, call *emu.CallError) *RunError {
	call.Err = k.explain(stack, call)
	e := &RunError{
		Func: k.Symbols.Format(call.Addr), PC: k.Where(call.Regs.PC),
		Backtrace: k.Unwind(stack, &call.Regs), InitFreed: k.inFreedInit(call.Regs.PC), Err: call,
	}
	for _, pc := range call.Recent {
		e.Recent = append(e.Recent, k.listing(pc))
	}
	for _, pc := range e.Backtrace[1:] {
		e.Callers = append(e.Callers, k.Where(pc))
	}
	var fault *emu.Fault
	if errors.As(call.Err, &fault) {
		if o, ok := k.Heap.Poisoned(fault.Addr); ok && o.Freed {
			e.Freed = o
		}
		e.Unwritten = fault.Addr>>16 == PoisonInUse>>16
	}
	return e
}

// Where is Symbols.Format with the names of gates too.
func (k *Kernel) Where(pc uint64) string {
	if name, ok := k.Gates.Name(pc); ok {
		return name
	}
	return k.Symbols.Format(pc)
}

// listing returns one line for the instruction at pc: where it is, and what.
func (k *Kernel) listing(pc uint64) string {
	w, err := k.Mem.Load32(pc)
	if err != nil {
		return k.Where(pc) + ": " + err.Error()
	}
	return fmt.Sprintf("%s: %s", k.Where(pc), asm.Disassemble(w, pc, k.Short))
}

// Backtrace returns the PC of a CPU that is stopped, and the return addresses
// in its chain of frame records, innermost first.
func (k *Kernel) Backtrace(cpu int) []uint64 {
	c, err := k.cpu(cpu)
	if err != nil {
		return nil
	}
	return k.Unwind(c.Stack, c.Regs())
}

// Unwind is Backtrace for registers on a stack. It walks frame records, pairs of
// the caller's x29 and a return address, as arch_stack_walk does: a record has
// to lie on the task's stack, above the one before it.
func (k *Kernel) Unwind(stack kernelimage.Range, regs *emu.Regs) []uint64 {
	trace := []uint64{regs.PC}
	index := 0 // in the task's return stack
	returns := func(addr, fp uint64) uint64 {
		if f := k.returnAddr.Load(); f != nil {
			return (*f)(regs.SPEL0, &index, addr, fp)
		}
		return addr
	}
	if k.frameless(regs) {
		trace = append(trace, returns(regs.X[30], regs.X[29]))
	}
	low := stack.Start
	for fp := regs.X[29]; fp >= low && fp <= stack.End-16 && fp%8 == 0; {
		record, err := k.Mem.ReadWords(fp, 2)
		if err != nil {
			break
		}
		trace = append(trace, returns(record[1], record[0]))
		low, fp = fp+16, record[0]
	}
	return trace
}

// ReturnAddr is where a function of a task really returns to, where its record says addr and leads to the frame pointer
// fp: something may have put an address of its own there (kunwind_recover_return_address). index is its own to use, and 0 where the walk
// begins.
type ReturnAddr func(task uint64, index *int, addr, fp uint64) uint64

// RecoverReturns has Unwind ask f for every return address.
func (k *Kernel) RecoverReturns(f ReturnAddr) { k.returnAddr.Store(&f) }

// frameless reports whether the function that a CPU is in has no record, so that its
// caller is in x30 only: a gate, or a function that calls none or has just been
// entered. Of one with a record x30 is what the record says, or, once another
// has returned to it, points into the function itself.
func (k *Kernel) frameless(regs *emu.Regs) bool {
	if emu.InGates(regs.PC) {
		return true
	}
	in, _, ok := k.Symbols.At(regs.PC)
	from, _, known := k.Symbols.At(regs.X[30] - 4)
	if !ok || !known || in.Addr == from.Addr {
		return false
	}
	record, err := k.Mem.ReadWords(regs.X[29], 2)
	return err != nil || record[1] != regs.X[30]
}

// Short writes addr as symbol+offset, as listings name a branch's target; "" where it has no name.
func (k *Kernel) Short(addr uint64) string {
	if name, ok := k.Gates.Name(addr); ok {
		return name
	}
	return k.Symbols.Short(addr)
}
