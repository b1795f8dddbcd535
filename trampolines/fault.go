package trampolines

import (
	"fmt"

	. "callops/asm"
	"callops/internal/errno"
)

// Fault is a defect that [Install] builds into ftrace_caller, or into the func of
// sets, on purpose, for a checker to find.
type Fault uint8

// The faults.
const (
	NoFault Fault = iota

	// LoadLiteralTwice takes direct_call and func from the ops of one load of
	// the literal, and x2 from a second.
	LoadLiteralTwice

	// LoadFuncFirst loads func through the literal, and then the literal again
	// for x2.
	LoadFuncFirst

	// LoseX8 does not restore x8.
	LoseX8

	// LoseX18 uses x18 as scratch.
	LoseX18

	// UnalignedLiteral takes the literal from x30-16, not rounded down to 8.
	UnalignedLiteral

	// SetKeepsBit has the func of a set that protects its ops return with the
	// recursion bit, and with preemption disabled.
	SetKeepsBit

	// SetSkipsRCU has that func call its ops where RCU is not watching, too.
	SetSkipsRCU

	// LoadTagTwice tests the tag of one load of the literal, and takes the direct call's address
	// from a second; DirectTagged.
	LoadTagTwice

	// FollowMiss follows the end of a bucket as if the call site had been there; DirectHash.
	FollowMiss

	// GraphBitZero has ftrace_graph_func set bit 0 of each frame's bitmap, as Linux does.
	GraphBitZero

	// GraphReloadUser has ftrace_return_to_handler load a user once more between its retfunc and the call.
	GraphReloadUser

	// GraphLoseX0 has return_to_handler restore x1..x7 alone.
	GraphLoseX0

	// GraphKeepFrame has ftrace_return_to_handler not pop the frame.
	GraphKeepFrame

	// GraphSkipTail has ftrace_return_to_handler return past return_to_handler, where a tail call left
	// that in the frame, to the address in the frame below.
	GraphSkipTail

	// GraphReuseFrame has ftrace_graph_func give a tail-called function the frame, and the return address,
	// of the function that it was tail-called by.
	GraphReuseFrame

	numFaults
)

var faultNames = [numFaults]string{
	"none", "load-literal-twice", "load-func-first", "lose-x8", "lose-x18", "unaligned-literal", "set-keeps-bit", "set-skips-rcu", "load-tag-twice",
	"follow-miss", "graph-bit-zero", "graph-reload-user", "graph-lose-x0", "graph-keep-frame", "graph-skip-tail", "graph-reuse-frame",
}

func (f Fault) String() string {
	if f < numFaults {
		return faultNames[f]
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

// check refuses a fault that the caller to be built can't have.
func (f Fault) check(callOps bool, direct Direct) error {
	needs := map[Fault]Direct{LoadTagTwice: DirectTagged, FollowMiss: DirectHash}[f]
	if f >= numFaults || f != NoFault && (!callOps || direct != needs) {
		return fmt.Errorf("fault %s, CALL_OPS %v, direct calls %s: %w", f, callOps, direct, errno.EINVAL)
	}
	return nil
}

// Each of these emits the faulty version of a part of ftrace_caller, where
// there is one to emit, and reports whether it did.

// faultyLoad is loadOps.
func (c *code) faultyLoad(rd Reg) bool {
	switch c.fault {
	case UnalignedLiteral:
		c.Emit(Ldr(rd, Off(LR, -literalBack)))
	case LoseX18:
		c.Emit(
			AndImm(X18, LR, ^uint64(literalAlign-1)),
			Ldr(rd, Off(X18, -literalBack)),
		)
	default:
		return false
	}
	return true
}

// faultyCall is callTracer, from x2 on.
func (c *code) faultyCall(direct bool) bool {
	fn := at(X11, c.l.Ops.Func) // x11 is the ops whose direct_call was tested
	switch {
	case c.fault == LoadFuncFirst || c.fault == LoadLiteralTwice && !direct:
		c.loadOps(X11)
	case c.fault == LoadLiteralTwice:
	default:
		return false
	}
	c.Emit(Ldr(X4, fn))
	c.loadOps(X2)
	c.Emit(
		Mov(X3, SP),
		Blr(X4),
	)
	return true
}

// faultyRestore is restoreRegs' load of x8 and, with direct, x17.
func (c *code) faultyRestore(direct bool) bool {
	if c.fault != LoseX8 {
		return false
	}
	if direct {
		c.Emit(Ldr(X17, at(SP, c.l.Regs.DirectTramp)))
	}
	return true
}

// faultyPush is what graphFunc does before it pushes a frame: x11 is the return stack, w12 how much of
// it is used.
func (c *code) faultyPush() {
	if c.fault != GraphReuseFrame {
		return
	}
	push := c.Label("push")
	c.Emit(
		Adr(X9, c.labels["return_to_handler"]),
		Cmp(X1, X9),
		BCond(NE, push),
		SubImm(W12, W12, frameWords+1),
		Add(graphFrame, X11, X12, LSL(3)),
		Ldr(X1, Off(graphFrame, FrameRet)),
	)
	c.popFrame(X9)
	c.Bind(push)
}

// faultyBitmap is what graphFunc does to the users that want the return.
func (c *code) faultyBitmap() {
	if c.fault == GraphBitZero {
		c.Emit(OrrImm(graphWanted, graphWanted, 1))
	}
}

// faultyUser is what graphReturn does after the load of retfunc. The bit's number is the user's index.
func (c *code) faultyUser() {
	if c.fault == GraphReloadUser {
		c.Emit(
			Clz(X10, graphBit),
			EorImm(X10, X10, 63),
			Ldr(graphUser, Idx(graphArray, X10, 3)),
		)
	}
}

// faultyCaller is what graphReturn does after the load of the return address into x0.
func (c *code) faultyCaller() {
	if c.fault != GraphSkipTail {
		return
	}
	own := c.Label("own return address")
	c.Emit(
		Adr(X9, c.labels["return_to_handler"]),
		Cmp(X0, X9),
		BCond(NE, own),
		Ldr(X0, Off(graphFrame, FrameRet-FrameSize)),
	)
	c.Bind(own)
}

// faultyResult is returnToHandler's load of x0 and x1.
func (c *code) faultyResult() bool {
	if c.fault != GraphLoseX0 {
		return false
	}
	regs := &c.l.Regs
	c.Emit(
		Ldr(X1, at(SP, regs.X0+wordSize)),
		AddImm(SP, SP, uint64(regs.Size)),
	)
	return true
}
