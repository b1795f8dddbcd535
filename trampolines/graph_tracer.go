package trampolines

import . "callops/asm"

// What the word of the task that a user has (fgraph_get_task_var) holds of the function_graph
// tracer (TRACE_GRAPH_FL and TRACE_GRAPH_NOTRACE, kernel/trace/trace.h).
//
// Differs: the depth at which a function of set_graph_function was entered takes the upper half. Linux keeps two
// bits of it, and where that function was called more than three deep goes on tracing after its return.
const (
	graphInside  = 0 // bit: within a function of set_graph_function
	graphHidden  = 1 // bit: within one of set_graph_notrace
	graphDepthAt = 32
)

// Registers of the function_graph tracer, besides those of lookup.
const (
	tracerBit   = X19 // recursion bit
	tracerEvent = X20 // struct ftrace_graph_ent or ftrace_graph_ret
	tracerRegs  = X23 // struct ftrace_regs
	tracerVar   = X24 // address of the task's word
	tracerState = X25 // its value
	tracerArray = X26 // the instance
)

// graphTraceEntry is trace_graph_entry (kernel/trace/trace_functions_graph.c, Linux 6.12, with the
// arguments of 6.15): entryfunc of the function_graph tracer. It decides by set_graph_notrace,
// set_graph_function and max_graph_depth, records the entry in the instance's ring of this CPU, and
// returns whether it wants the return.
//
//	entry sp ->  +-----------------+
//	             | x25, x26        |
//	     sp+64   | x23, x24        |
//	     sp+48   | x21, x22        |
//	     sp+32   | x19, x20        |
//	     sp+16   | x29, x30        |  frame record; x29 points here
//	        sp ->+-----------------+
//
// Differs: a recursion bit and disabled preemption stand for the disabled interrupts and
// trace_array_cpu.disabled.
func (c *code) graphTraceEntry() {
	var (
		shown   = c.Label("not in set_graph_notrace")
		nested  = c.Label("within a traced function")
		deep    = c.Label("any depth")
		noArgs  = c.Label("no arguments")
		full    = c.Label("full")
		out     = c.Label("out")
		refused = c.Label("no return wanted")
		restore = c.Label("restore")
	)
	c.enterGraphTracer()
	c.Emit(
		Ldr(listIP, Off(tracerEvent, GraphEntFunc)),
		Tbnz(tracerState, graphHidden, refused),
	)
	c.Emit(MovImm(X9, goldenRatio64)...)
	c.Emit(
		Mul(listProduct, listIP, X9),
		Ldr(X10, Off(tracerArray, InstanceFilters)),
		Ldr(X10, at(X10, c.l.Ops.LocalHash+c.l.OpsHash.Notrace)),
	)
	c.lookup(X10, shown, shown)
	c.Emit(
		OrrImm(tracerState, tracerState, 1<<graphHidden),
		Str(tracerState, Base(tracerVar)),
		Movz(W0, 1, 0), // its return ends what is hidden
		B(restore),
	)
	c.Bind(shown)
	c.Emit(
		Tbnz(tracerState, graphInside, nested),
		Ldr(X10, Off(tracerArray, InstanceFilters)),
		Ldr(X10, at(X10, c.l.Ops.LocalHash+c.l.OpsHash.Filter)),
	)
	c.lookup(X10, nested, refused)
	c.Emit(
		Ldr(W9, Off(tracerEvent, GraphEntDepth)),
		LslImm(X9, X9, graphDepthAt),
		OrrImm(tracerState, X9, 1<<graphInside),
		Str(tracerState, Base(tracerVar)),
	)
	c.Bind(nested)
	c.Emit(
		Ldr(W9, Off(tracerEvent, GraphEntDepth)),
		Ldr(W10, Off(tracerArray, InstanceDepth)),
		Cbz(W10, deep),
		Cmp(W9, W10),
		BCond(GE, refused),
	)
	c.Bind(deep)
	enterRare := c.enter(traceFtraceStart, W19, refused)
	c.claimWide(full, out)
	c.Emit(
		Mrs(X9, CNTVCT_EL0),
		Ldr(W10, Off(tracerEvent, GraphEntDepth)),
		Ldr(X11, at(tracerRegs, c.l.Regs.LR)),
		Stp(listIP, X9, Off(ringSlot, RingEntries+WideIP)), // and time
		Str(W10, Off(ringSlot, RingEntries+WideDepth)),
		Str(X11, Off(ringSlot, RingEntries+WideParentIP)),
		Movz(W9, WideEntry, 0),
		Ldr(W10, Off(tracerArray, InstanceArgs)),
		Cbz(W10, noArgs),
		Movz(W9, WideEntry|WideHasArgs, 0),
	)
	c.copyArgs(tracerRegs)
	c.Bind(noArgs)
	c.Emit(Str(W9, Off(ringSlot, RingEntries+WideKind)))
	c.publishEntry(out)
	c.Bind(out)
	leaveRare := c.leave(tracerBit)
	c.Emit(Movz(W0, 1, 0))
	c.Bind(restore)
	c.leaveGraphTracer()
	c.Bind(refused)
	c.Emit(Movz(W0, 0, 0), B(restore))
	c.dropEntry(full, out)
	enterRare()
	leaveRare()
}

// graphTraceReturn is trace_graph_return: retfunc of the function_graph tracer. Its frame is that of
// graphTraceEntry.
func (c *code) graphTraceReturn() {
	var (
		inside  = c.Label("no function of set_graph_function ends")
		shown   = c.Label("nothing hidden ends")
		full    = c.Label("full")
		out     = c.Label("out")
		restore = c.Label("restore")
	)
	c.enterGraphTracer()
	c.Emit(
		Tbz(tracerState, graphInside, inside),
		Ldr(W9, Off(tracerEvent, GraphRetDepth)),
		LsrImm(X10, tracerState, graphDepthAt),
		Cmp(W9, W10),
		BCond(NE, inside),
		AndImm(tracerState, tracerState, 1<<graphHidden),
		Str(tracerState, Base(tracerVar)),
	)
	c.Bind(inside)
	c.Emit(
		Tbz(tracerState, graphHidden, shown),
		BicImm(tracerState, tracerState, 1<<graphHidden),
		Str(tracerState, Base(tracerVar)),
		B(restore),
	)
	c.Bind(shown)
	enterRare := c.enter(traceFtraceStart, W19, restore)
	c.claimWide(full, out)
	c.Emit(
		Ldp(X9, X10, Off(tracerEvent, GraphRetFunc)),          // and retval
		Ldp(X7, X11, Off(tracerEvent, GraphRetCallTime)),      // and rettime
		Stp(X9, X11, Off(ringSlot, RingEntries+WideIP)),       // and time
		Stp(X7, X10, Off(ringSlot, RingEntries+WideCallTime)), // and retval
		Ldr(W9, Off(tracerEvent, GraphRetDepth)),
		Str(W9, Off(ringSlot, RingEntries+WideDepth)),
		Movz(W9, WideReturn, 0),
		Str(W9, Off(ringSlot, RingEntries+WideKind)),
	)
	c.publishEntry(out)
	c.Bind(out)
	leaveRare := c.leave(tracerBit)
	c.Bind(restore)
	c.leaveGraphTracer()
	c.dropEntry(full, out)
	enterRare()
	leaveRare()
}

// enterGraphTracer makes the frame and loads what entryfunc and retfunc need.
func (c *code) enterGraphTracer() {
	gops := GraphOpsOf(c.l)
	c.Emit(
		Stp(FP, LR, Pre(SP, -80)),
		Mov(FP, SP),
		Stp(tracerBit, tracerEvent, Off(SP, 16)),
		Stp(listIP, listProduct, Off(SP, 32)),
		Stp(tracerRegs, tracerVar, Off(SP, 48)),
		Stp(tracerState, tracerArray, Off(SP, 64)),
		Mov(tracerEvent, X0),
		Mov(tracerRegs, X2),
		Mrs(X9, SP_EL0),
		Ldr(X10, at(X9, c.l.Task.RetStack)),
		Ldr(W11, at(X1, gops.Idx)),
		AddImm(X10, X10, ReturnStackVars),
		Add(tracerVar, X10, X11, LSL(3)),
		Ldr(tracerState, Base(tracerVar)),
		Ldr(tracerArray, at(X1, gops.Private)),
	)
}

func (c *code) leaveGraphTracer() {
	c.Emit(
		Ldp(tracerState, tracerArray, Off(SP, 64)),
		Ldp(tracerRegs, tracerVar, Off(SP, 48)),
		Ldp(listIP, listProduct, Off(SP, 32)),
		Ldp(tracerBit, tracerEvent, Off(SP, 16)),
		Ldp(FP, LR, Post(SP, 80)),
		Ret(),
	)
}

// claimWide claims an entry of the instance's ring of this CPU, and fills in CPU and PID; x9 is
// current. Without a ring it goes to out.
func (c *code) claimWide(full, out Label) {
	c.Emit(
		Ldr(W8, at(X9, c.l.Task.CPU)),
		AddImm(X10, tracerArray, InstanceRings),
		Ldr(ringBase, Idx(X10, X8, 3)),
		Cbz(ringBase, out),
	)
	c.claimEntry(WideEntryShift, full)
	c.Emit(
		Mrs(X9, SP_EL0),
		Ldr(W9, at(X9, c.l.Task.Pid)),
		Str(W8, Off(ringSlot, RingEntries+WideCPU)),
		Str(W9, Off(ringSlot, RingEntries+WidePID)),
	)
}

// copyArgs copies x0..x7 of the traced function to the entry; x10 and x11 change.
func (c *code) copyArgs(regs Reg) {
	for n := 0; n < 8; n += 2 {
		c.Emit(
			Ldp(X10, X11, at(regs, c.l.Regs.X0+n*wordSize)),
			Stp(X10, X11, Off(ringSlot, RingEntries+WideArgs+int64(n)*wordSize)),
		)
	}
}

// functionArgsTracer is function_args_trace_call (kernel/trace/trace_functions.c, Linux 6.15): the function
// tracer that records arguments too. It writes to the CPU's ring as function_trace_call does, in wide entries.
func (c *code) functionArgsTracer() {
	full := c.Label("full")
	c.guarded(traceFtraceStart, func(out Label) func() {
		c.Emit(
			Ldr(W8, at(X9, c.l.Task.CPU)),
			Ldr(W7, at(X9, c.l.Task.Pid)),
		)
		c.loadPerCPU(ringBase, c.l.PerCPU.RingBuffer)
		c.Emit(Cbz(ringBase, out))
		c.claimEntry(WideEntryShift, full)
		c.Emit(
			Mrs(X9, CNTVCT_EL0),
			Movz(W10, WideCall, 0),
			Stp(W8, W10, Off(ringSlot, RingEntries+WideCPU)), // and kind
			Stp(X0, X9, Off(ringSlot, RingEntries+WideIP)),   // and time
			Str(W7, Off(ringSlot, RingEntries+WidePID)),
			Str(X1, Off(ringSlot, RingEntries+WideParentIP)),
		)
		c.copyArgs(X3)
		c.publishEntry(out)
		return func() { c.dropEntry(full, out) }
	})
}
