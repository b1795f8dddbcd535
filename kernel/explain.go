package kernel

import (
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/emu/isa"
	"callops/kernelimage"
)

// StackOverflowError is an access to the guard page below a task's stack. It
// unwraps to the *emu.Fault.
type StackOverflowError struct {
	Stack kernelimage.Range
	Err   *emu.Fault
}

func (e *StackOverflowError) Error() string {
	return fmt.Sprintf("stack overflow, past the task's %d bytes: %v", e.Stack.End-e.Stack.Start, e.Err)
}

func (e *StackOverflowError) Unwrap() error { return e.Err }

// BranchError is a branch to where no code is. It unwraps to the *emu.Fault.
type BranchError struct {
	From   string // the branch, as %pS
	Target uint64
	Reg    int  // the x-register that held Target; -1: the instruction itself has it
	Return bool // it is a RET
	Err    *emu.Fault
}

func (e *BranchError) Error() string {
	switch {
	case e.Return:
		return fmt.Sprintf("%s returned to %#x, the value of x%d: %v", e.From, e.Target, e.Reg, e.Err)
	case e.Reg >= 0:
		return fmt.Sprintf("%s called %#x, the value of x%d, as a function: %v", e.From, e.Target, e.Reg, e.Err)
	}
	return fmt.Sprintf("%s branched to %#x: %v", e.From, e.Target, e.Err)
}

func (e *BranchError) Unwrap() error { return e.Err }

// FPError is an instruction of FP or SIMD, which no engine executes. It unwraps to
// the *emu.UnsupportedError.
type FPError struct {
	Func  string // the function that it is in
	Linux bool   // which is a Linux kernel's, and means to use them
	Err   *emu.UnsupportedError
}

func (e *FPError) Error() string {
	advice := "build it with -mgeneral-regs-only"
	if e.Linux {
		advice = "it runs no FP or SIMD code of a kernel"
	}
	return fmt.Sprintf("%s uses FP or SIMD registers (%s), which callops does not have: %s", e.Func, e.Err.Text, advice)
}

func (e *FPError) Unwrap() error { return e.Err }

// explain returns the error that ended a call on the given stack, as what it
// means where that can be told.
func (k *Kernel) explain(stack kernelimage.Range, call *emu.CallError) error {
	// Not errors.As: an error of another call, which a gate made, is not this one's.
	if u, ok := call.Err.(*emu.UnsupportedError); ok && isa.IsFP(u.Word) { //nolint:errorlint // see above
		return &FPError{Func: k.function(u.PC), Linux: k.Image.IsLinux(), Err: u}
	}
	fault, ok := call.Err.(*emu.Fault) //nolint:errorlint // see above
	switch {
	case !ok:
	case fault.Access == emu.Fetch:
		if e := k.badBranch(call, fault); e != nil {
			return e
		}
	case stack.Start-fault.Addr <= guardSize && fault.Addr < stack.Start:
		return &StackOverflowError{Stack: stack, Err: fault}
	}
	return call.Err
}

// function is the name of the function that pc is in.
func (k *Kernel) function(pc uint64) string {
	if sym, _, ok := k.Symbols.At(pc); ok {
		return sym.Name
	}
	return k.Where(pc)
}

// badBranch finds the branch that led to where nothing can be fetched; nil when
// the call itself did.
func (k *Kernel) badBranch(call *emu.CallError, fault *emu.Fault) *BranchError {
	if len(call.Recent) == 0 {
		return nil
	}
	from := call.Recent[len(call.Recent)-1]
	w, err := k.Mem.Load32(from)
	if err != nil {
		return nil
	}
	e := &BranchError{From: k.Where(from), Target: fault.Addr, Reg: -1, Err: fault}
	if target, _, ok := asm.DecodeBranch(from, w); ok && target == fault.Addr {
		return e
	}
	b, ok := asm.DecodeBranchReg(w)
	// BLR x30 is the one that changes its register.
	if !ok || b.Reg > 30 || call.Regs.X[b.Reg] != fault.Addr && !(b.Link && b.Reg == 30) {
		return nil
	}
	e.Reg, e.Return = b.Reg, b.Return
	return e
}
