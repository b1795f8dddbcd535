package trampolines

import . "callops/asm"

// Registers that graphFunc keeps over calls, besides those of lookup.
const (
	graphTask   = X19
	graphFrame  = X20 // the frame that is pushed, or popped
	graphFregs  = X23
	graphBits   = X24 // users that are still to be asked
	graphWanted = X25 // users that want the return
	graphArray  = X26
	graphUser   = X27
	graphBit    = X28 // the user's bit
)

// graphFunc is ftrace_graph_func (arch/arm64/kernel/ftrace.c) with function_graph_enter
// (kernel/trace/fgraph.c, Linux 6.12), the func of graph_ops: it pushes a frame on the task's return
// stack, asks every user whose filter has the function, and where one wants the return, puts
// return_to_handler where the traced function will find its return address.
//
//	entry sp ->  +-----------------------+
//	             | func, depth           |  struct ftrace_graph_ent
//	     sp+96   | x27, x28              |
//	     sp+80   | x25, x26              |
//	     sp+64   | x23, x24              |
//	     sp+48   | x21, x22              |
//	     sp+32   | x19, x20              |
//	     sp+16   | x29, x30              |  frame record; x29 points here
//	        sp ->+-----------------------+
//
// The frame's word above struct ftrace_ret_stack is there before curr_ret_stack counts it, and is
// written again after that: what an interrupt pushes in between lies over it.
//
// Differs: Linux sets bit 0 of the bitmap whoever wants the return, and so calls the retfunc of the
// first user for functions that this user's entryfunc refused, or that it does not trace. Here only users
// that asked are called.
//
// Differs: there is no fgraph_reserve_data, so entryfunc leaves curr_ret_stack as it is.
func (c *code) graphFunc() {
	const (
		frame = 112
		ent   = 96
	)
	var (
		task    = &c.l.Task
		gops    = GraphOpsOf(c.l)
		each    = c.Label("each user")
		notrace = c.Label("filter matches")
		call    = c.Label("call entryfunc")
		asked   = c.Label("all users asked")
		nobody  = c.Label("nobody wants the return")
		full    = c.Label("no room for a frame")
		restore = c.Label("restore")
		out     = c.Label("out")
	)
	c.Emit(
		Mrs(X9, SP_EL0),
		Ldr(W10, at(X9, task.GraphPause)),
		Cbnz(W10, out),
		Ldr(X11, at(X9, task.RetStack)),
		Cbz(X11, out),
	)
	c.saveGraph(frame)
	c.Emit(
		Ldr(W12, at(graphTask, task.CurrRetStack)),
		CmpImm(W12, returnStackMax-frameWords-1),
		BCond(GE, full),
	)
	c.faultyPush()
	c.Emit(
		Ldr(W13, at(graphTask, task.CurrRetDepth)),
		AddImm(W13, W13, 1),
		Str(W13, at(graphTask, task.CurrRetDepth)),
		Str(X0, Off(SP, ent+GraphEntFunc)),
		Str(W13, Off(SP, ent+GraphEntDepth)),
		Mrs(X15, CNTVCT_EL0),
		Add(graphFrame, X11, X12, LSL(3)),
		Movz(X14, frameWords, 0),
		Str(X14, Off(graphFrame, frameWords*wordSize)),
		Str(X1, Off(graphFrame, FrameRet)),
		AddImm(W12, W12, frameWords+1),
		Str(W12, at(graphTask, task.CurrRetStack)),
		Str(X14, Off(graphFrame, frameWords*wordSize)),
		Ldr(X14, at(X3, c.l.Regs.FP)),
		Stp(X1, X0, Off(graphFrame, FrameRet)),
		Stp(X15, X14, Off(graphFrame, FrameCallTime)),
		Str(X14, Off(graphFrame, FrameRetP)),
		Mov(listIP, X0),
		Mov(graphFregs, X3),
		Movz(graphWanted, 0, 0),
	)
	c.Emit(MovImm(X9, goldenRatio64)...)
	c.Emit(Mul(listProduct, listIP, X9))
	c.Emit(LoadAddr(X9, c.Abs("fgraph_array_bitmask", c.data.GraphBitmask))...)
	c.Emit(Ldr(graphBits, Base(X9)))
	c.Emit(LoadAddr(graphArray, c.Abs("fgraph_array", c.data.GraphArray))...)

	c.Bind(each)
	c.nextUser(asked, each)
	c.Emit(
		Ldr(X9, at(graphUser, gops.Ops+c.l.Ops.FuncHash)),
		Ldp(X10, X11, at(X9, c.l.OpsHash.Notrace)), // notrace_hash, filter_hash
	)
	c.lookup(X11, notrace, each)
	c.Bind(notrace)
	c.lookup(X10, call, call)
	c.Emit(B(each))
	c.Bind(call)
	c.Emit(
		Ldr(X9, at(graphUser, gops.EntryFunc)),
		AddImm(X0, SP, ent),
		Mov(X1, graphUser),
		Mov(X2, graphFregs),
		Blr(X9),
		Cbz(W0, each),
		Orr(graphWanted, graphWanted, graphBit),
		B(each),
	)

	c.Bind(asked)
	c.Emit(
		Cbz(graphWanted, nobody),
	)
	c.faultyBitmap()
	c.Emit(
		LslImm(X9, graphWanted, frameIndexShift),
		Movz(X10, frameBitmap|frameWords, 0),
		Orr(X9, X9, X10),
		Str(X9, Off(graphFrame, frameWords*wordSize)),
		Adr(X9, c.labels["return_to_handler"]),
		Str(X9, at(graphFregs, c.l.Regs.LR)),
	)
	c.Bind(restore)
	c.restoreGraph(frame)
	c.Bind(out)
	c.Emit(Ret())

	c.Bind(nobody)
	c.popFrame(X9)
	c.Emit(B(restore))
	c.Bind(full)
	c.Emit(
		AddImm(X10, graphTask, uint64(task.TraceOverrun)),
		Movz(W9, 1, 0),
		Stadd(W9, X10),
		B(restore),
	)
}

// saveGraph makes a frame of so many bytes with the registers of graphFunc, and loads current.
func (c *code) saveGraph(frame int64) {
	c.Emit(
		Stp(FP, LR, Pre(SP, -frame)),
		Mov(FP, SP),
		Stp(graphTask, graphFrame, Off(SP, 16)),
		Stp(listIP, listProduct, Off(SP, 32)),
		Stp(graphFregs, graphBits, Off(SP, 48)),
		Stp(graphWanted, graphArray, Off(SP, 64)),
		Stp(graphUser, graphBit, Off(SP, 80)),
		Mrs(graphTask, SP_EL0),
	)
}

func (c *code) restoreGraph(frame int64) {
	c.Emit(
		Ldp(graphUser, graphBit, Off(SP, 80)),
		Ldp(graphWanted, graphArray, Off(SP, 64)),
		Ldp(graphFregs, graphBits, Off(SP, 48)),
		Ldp(listIP, listProduct, Off(SP, 32)),
		Ldp(graphTask, graphFrame, Off(SP, 16)),
		Ldp(FP, LR, Post(SP, frame)),
	)
}

// nextUser takes the lowest of graphBits, and goes to none where there is no more, and to gone where
// the user has left. x9 changes.
func (c *code) nextUser(none, gone Label) {
	c.Emit(
		Cbz(graphBits, none),
		Neg(graphBit, graphBits),
		And(graphBit, graphBit, graphBits),
		Eor(graphBits, graphBits, graphBit),
		Clz(X9, graphBit),
		EorImm(X9, X9, 63),
		Ldr(graphUser, Idx(graphArray, X9, 3)),
	)
	c.Emit(LoadAddr(X9, c.Abs("fgraph_stub", c.data.GraphStub))...)
	c.Emit(
		Cmp(graphUser, X9),
		BCond(EQ, gone),
	)
}

// popFrame takes graphFrame off the return stack, after all that was loaded from it.
func (c *code) popFrame(tmp Reg) {
	task := &c.l.Task
	w := W(int(tmp.Num()))
	c.Emit(
		Ldr(w, at(graphTask, task.CurrRetStack)),
		SubImm(w, w, frameWords+1),
		Str(w, at(graphTask, task.CurrRetStack)),
		Ldr(w, at(graphTask, task.CurrRetDepth)),
		SubImm(w, w, 1),
		Str(w, at(graphTask, task.CurrRetDepth)),
	)
}

// returnToHandler is return_to_handler (arch/arm64/kernel/entry-ftrace.S, Linux 6.12), where a traced
// function returns to whose return is wanted. x0..x7, which may hold its result, come through.
//
//	entry sp ->  +--------------------------+
//	             | fp=x29                   |
//	     sp+64   | x8 and direct_tramp: not |  struct ftrace_regs
//	             | x0 ... x7                |
//	        sp ->+--------------------------+
func (c *code) returnToHandler() {
	regs := &c.l.Regs
	c.Emit(
		Stp(X0, X1, Pre(SP, int64(-regs.Size))),
		Stp(X2, X3, at(SP, regs.X0+2*wordSize)),
		Stp(X4, X5, at(SP, regs.X0+4*wordSize)),
		Stp(X6, X7, at(SP, regs.X0+6*wordSize)),
		Str(FP, at(SP, regs.FP)),
		Mov(X0, SP),
		BL(c.labels["ftrace_return_to_handler"]),
		Mov(LR, X0),
		Ldp(X2, X3, at(SP, regs.X0+2*wordSize)),
		Ldp(X4, X5, at(SP, regs.X0+4*wordSize)),
		Ldp(X6, X7, at(SP, regs.X0+6*wordSize)),
	)
	if !c.faultyResult() {
		c.Emit(Ldp(X0, X1, Post(SP, int64(regs.Size))))
	}
	c.Emit(Ret())
}

// graphReturn is ftrace_return_to_handler (kernel/trace/fgraph.c, Linux 6.12): it pops the frame, tells
// the users in its bitmap that are still there, and returns where the traced function was called from.
//
//	entry sp ->  +-----------------------+
//	             | func ... rettime      |  struct ftrace_graph_ret
//	     sp+96   | x19 ... x28           |  as in graphFunc
//	     sp+16   | x29, x30              |  frame record; x29 points here
//	        sp ->+-----------------------+
//
// Differs: a frame that is not the function's ends the call with [ErrReturnStack], where Linux
// returns into panic.
func (c *code) graphReturn() {
	const (
		ret   = 96
		frame = ret + GraphRetSize
	)
	var (
		task = &c.l.Task
		gops = GraphOpsOf(c.l)
		each = c.Label("each user")
		told = c.Label("all users told")
		bad  = c.Label("not the frame")
	)
	c.saveGraph(frame)
	c.Emit(
		Mov(graphFregs, X0),
		Ldr(X11, at(graphTask, task.RetStack)),
		Ldr(W12, at(graphTask, task.CurrRetStack)),
		CmpImm(W12, frameWords),
		BCond(LE, bad),
		Cbz(X11, bad),
		SubImm(W12, W12, 1),
		Ldr(graphBits, Idx(X11, X12, 3)),
		AndImm(X10, graphBits, FrameOffsetMask),
		Sub(X12, X12, X10),
		Add(graphFrame, X11, X12, LSL(3)),
		Ldp(X14, X10, Off(graphFrame, FrameCallTime)), // and fp
		Ldr(X13, at(graphFregs, c.l.Regs.FP)),
		Cmp(X10, X13),
		BCond(NE, bad),
		Mrs(X15, CNTVCT_EL0),
		Ldr(X9, Off(graphFrame, FrameFunc)),
		Ldr(X10, at(graphFregs, c.l.Regs.X0)),
		Stp(X9, X10, Off(SP, ret+GraphRetFunc)), // and retval
		Ldr(W9, at(graphTask, task.CurrRetDepth)),
		Ldr(W10, at(graphTask, task.TraceOverrun)),
		Stp(W9, W10, Off(SP, ret+GraphRetDepth)),
		Stp(X14, X15, Off(SP, ret+GraphRetCallTime)), // and rettime
		Ubfx(graphBits, graphBits, frameIndexShift, MaxGraphUsers),
	)
	c.Emit(LoadAddr(graphArray, c.Abs("fgraph_array", c.data.GraphArray))...)
	c.Bind(each)
	c.nextUser(told, each)
	c.Emit(
		Ldr(X9, at(graphUser, gops.RetFunc)),
	)
	c.faultyUser()
	c.Emit(
		AddImm(X0, SP, ret),
		Mov(X1, graphUser),
		Mov(X2, graphFregs),
		Blr(X9),
		B(each),
	)
	c.Bind(told)
	c.Emit(Ldr(X0, Off(graphFrame, FrameRet)))
	c.faultyCaller()
	if c.fault != GraphKeepFrame {
		c.popFrame(X9)
	}
	c.restoreGraph(frame)
	c.Emit(Ret())

	c.Bind(bad)
	c.Emit(Mov(X0, graphTask))
	c.call(c.data.graphStop)
	c.Emit(Brk(0)) // the gate does not return
}

// graphStubs are ftrace_graph_entry_stub, which wants no return, and ftrace_graph_ret_stub.
func (c *code) graphEntryStub() { c.Emit(Movz(W0, 0, 0), Ret()) }
