package trampolines

import (
	. "callops/asm" // mnemonics read as in a listing
)

// The literal of a site lies 12 bytes before its BL, or 16 where a BTI stands
// between, and is 8-aligned. x30 is the address after the BL, so for either
// it is 16 bytes below x30 rounded down to 8.
const (
	literalAlign = 8
	literalBack  = 16

	insnSize   = 4 // AARCH64_INSN_SIZE
	wordSize   = 8
	recordSize = 2 * wordSize // a frame record: the caller's x29, and a return address
)

// caller is ftrace_caller, which every patched site calls
// (arch/arm64/kernel/entry-ftrace.S, Linux 6.12).
//
// At entry x9 is where the traced function returns to, x30 = ip+4, and
// x0..x8, x18..x29 and sp are the traced function's. x9..x17 may be changed.
//
//	entry sp ->  +--------------------------+
//	             | x29, x9   frame record 1 |  the traced function's, as if it had made one
//	     sp+128  +--------------------------+
//	             | &record1, x30   record 2 |  the trampoline's own; x29 points here
//	     sp+112  +--------------------------+
//	             | sp, pc=x30               |
//	     sp+96   | fp=x29, lr=x9            |
//	     sp+80   | x8, direct_tramp=0       |  struct ftrace_regs
//	     sp+64   | x0 ... x7                |
//	        sp ->+--------------------------+
//
// (offsets of Linux 6.12's layout). The tracer gets x0 = ip, x1 = x9,
// x2 = ops, x3 = sp. Afterwards x0..x8, fp, lr and pc come from the frame: a
// tracer that changes pc sends the call elsewhere, one that changes lr changes
// where the traced function returns to. sp is not read back.
//
// Differs: 31 instructions per call where Linux executes 39. x8 is stored and
// loaded together with direct_tramp, fp with lr, sp with pc; the first store
// makes room for the frame and the last load gives it back; record 1 is stored
// through x10, which is left pointing at it.
func (c *code) caller() {
	var (
		direct      = c.directCalls()
		directEarly = c.Label("ftrace_caller_direct")
		directLate  = c.Label("ftrace_caller_direct_late")
		restore     = c.Label("ftrace_caller_restore")
	)
	c.Emit(Bti(BTIC))
	if direct && c.callOps {
		// A direct call, alone on its site, is made at once: nothing is saved,
		// only x11 and x17 have changed.
		c.findDirect(directEarly)
	}
	c.saveRegs(direct, XZR)
	c.callTracer(direct && c.callOps)
	if c.direct == DirectTagged {
		c.Bind(restore)
	}
	c.restoreRegs(direct)
	if direct {
		c.Emit(Cbnz(X17, directLate))
	}
	c.Emit(RetReg(X9))

	if direct {
		// A tracer asked for a direct call (call_direct_funcs): its target
		// wants x9 and x30 as the site's BL left them, that is, swapped.
		c.enterDirect(directEarly, directLate)
		// BR through x17 may land on BTI C.
		c.Emit(Br(X17))
	}
	if direct && c.callOps && c.apart() {
		c.Bind(directEarly)
		c.earlyDirect(restore)
	}
}

// enterDirect makes x9 and x30 what the site's branch leaves: on the late path they are regs->pc and
// regs->lr, and from early on as ftrace_caller found them.
func (c *code) enterDirect(early, late Label) {
	if c.direct == DirectJump {
		if c.callOps {
			c.Bind(early)
			c.Emit(Mov(LR, X9))
		}
		c.Bind(late)
		return
	}
	c.Bind(late)
	c.Emit(
		Mov(X10, X9),
		Mov(X9, LR),
		Mov(LR, X10),
	)
	if c.callOps && !c.apart() {
		c.Bind(early)
	}
}

// saveRegs makes the frame and points x29 at record 2. With direct calls, direct_tramp becomes
// tramp.
func (c *code) saveRegs(direct bool, tramp Reg) {
	regs := &c.l.Regs
	c.Emit(
		Mov(X10, SP), // regs->sp
		Stp(X0, X1, Pre(SP, int64(-c.callerFrame()))),
		Stp(X2, X3, at(SP, regs.X0+2*wordSize)),
		Stp(X4, X5, at(SP, regs.X0+4*wordSize)),
		Stp(X6, X7, at(SP, regs.X0+6*wordSize)),
	)
	if direct {
		c.Emit(Stp(X8, tramp, at(SP, regs.X0+8*wordSize))) // and direct_tramp
	} else {
		c.Emit(Str(X8, at(SP, regs.X0+8*wordSize)))
	}
	record2 := regs.Size
	c.Emit(
		Stp(FP, X9, at(SP, regs.FP)),
		Stp(X10, LR, at(SP, regs.SP)),
		Stp(FP, X9, Pre(X10, -recordSize)), // record 1, right below the entry's sp
		Stp(X10, LR, at(SP, record2)),
		AddImm(FP, SP, uint64(record2)),
	)
}

// callTracer sets the arguments and calls func.
func (c *code) callTracer(direct bool) {
	c.Emit(
		SubImm(X0, LR, insnSize), // ip
		Mov(X1, X9),              // parent_ip
	)
	if c.faultyCall(direct) {
		return
	}
	switch {
	case direct:
		c.moveOps(X2)
	case c.callOps:
		c.loadOps(X2)
	default:
		// Two things have to fit together: this variable, and the call.
		op := c.Abs("function_trace_op", c.data.FunctionTraceOp)
		c.Emit(Adrp(X2, op), LdrLo12(X2, X2, op))
	}
	c.Emit(Mov(X3, SP)) // fregs
	if c.callOps {
		// func comes from the ops that is passed along, so the two always fit.
		c.Emit(
			Ldr(X4, at(X2, c.l.Ops.Func)),
			Blr(X4),
		)
	} else {
		c.Bind(c.labels["ftrace_call"])
		c.Emit(BL(c.labels["ftrace_stub"])) // ftrace_update_ftrace_func patches this
	}
}

// restoreRegs gives the frame back. x9 is then regs->pc, and x17
// regs->direct_tramp.
func (c *code) restoreRegs(direct bool) {
	regs := &c.l.Regs
	c.Emit(
		Ldp(X2, X3, at(SP, regs.X0+2*wordSize)),
		Ldp(X4, X5, at(SP, regs.X0+4*wordSize)),
		Ldp(X6, X7, at(SP, regs.X0+6*wordSize)),
	)
	switch {
	case c.faultyRestore(direct):
	case direct:
		c.Emit(Ldp(X8, X17, at(SP, regs.X0+8*wordSize)))
	default:
		c.Emit(Ldr(X8, at(SP, regs.X0+8*wordSize)))
	}
	c.Emit(
		Ldp(FP, LR, at(SP, regs.FP)),
		Ldr(X9, at(SP, regs.PC)),
		Ldp(X0, X1, Post(SP, int64(c.callerFrame()))),
	)
}

// callerFrame is the size of ftrace_caller's frame: the regs, and above them
// two frame records.
func (c *code) callerFrame() int { return c.l.Regs.Size + 2*recordSize }

// loadOps loads the site's ops from its literal.
func (c *code) loadOps(rd Reg) {
	if c.faultyLoad(rd) {
		return
	}
	c.Emit(
		AndImm(rd, LR, ^uint64(literalAlign-1)),
		Ldr(rd, Off(rd, -literalBack)),
	)
}
