package trampolines

import . "callops/asm"

// Where the recursion bits of a callback's kind begin, and the contexts in
// order (include/linux/trace_recursion.h, Linux 6.12). The names of the enum
// there suggest another order than trace_get_context_bit makes.
const (
	traceFtraceStart = 0 // TRACE_FTRACE_START: callbacks
	traceListStart   = 5 // TRACE_LIST_START: the list and assist functions

	ctxNMI        = 0
	ctxNormal     = 3 // IRQ is 1, softirq 2
	ctxTransition = 4
)

// preempt_count's fields (include/linux/preempt.h).
const (
	softirqServing = 8        // bit of SOFTIRQ_OFFSET; the mask's other bits count disabled softirqs
	hardirqMask    = 0xf0000  // HARDIRQ_MASK
	nmiMask        = 0xf00000 // NMI_MASK
	anyIRQMask     = 0xffff00 // these and SOFTIRQ_MASK
)

// enter emits trace_test_and_set_recursion: it takes the bit of the context
// that preempt_count tells, or once the transition bit, and disables
// preemption. Otherwise it goes to refused.
//
// mask, a W register that calls preserve, gets the bit. x9 is current
// afterwards; x10, x11 and the flags change. What it returns emits the paths
// that are rarely taken, and goes after the function's code.
func (c *code) enter(start int, mask Reg, refused Label) (rare func()) {
	var (
		task        = &c.l.Task
		context     = c.Label("which context")
		known       = c.Label("context known")
		taken       = c.Label("bit is taken")
		take        = c.Label("take the bit")
		bit         = func(ctx int) uint16 { return 1 << (start + ctx) }
		nextContext = LslImm(mask, mask, 1)
	)
	c.Emit(
		Mrs(X9, SP_EL0), // current
		Ldr(W10, at(X9, task.PreemptCount)),
		Ldr(W11, at(X9, task.TraceRecursion)),
		Movz(mask, bit(ctxNormal), 0),
		TstImm(W10, anyIRQMask),
		BCond(NE, context),
	)
	c.Bind(known)
	c.Emit(
		Tst(W11, mask),
		BCond(NE, taken),
	)
	c.Bind(take)
	c.Emit(
		Orr(W11, W11, mask),
		Str(X11, at(X9, task.TraceRecursion)), // an unsigned int's worth: the upper half becomes 0
		// The bit is there before preemption is disabled. Whatever comes
		// between finds it set, and balances preempt_count.
		AddImm(W10, W10, 1),
		Str(W10, at(X9, task.PreemptCount)),
	)
	return func() {
		c.Bind(context)
		c.Emit(
			Movz(mask, bit(ctxNMI), 0),
			TstImm(W10, nmiMask),
			BCond(NE, known),
			nextContext,
			TstImm(W10, hardirqMask),
			BCond(NE, known),
			nextContext,
			Tbnz(W10, softirqServing, known),
			nextContext, // softirqs are only disabled
			B(known),
		)
		// An interrupt may have come before preempt_count tells: one more
		// is let in, as a transition.
		c.Bind(taken)
		c.Emit(
			Movz(mask, bit(ctxTransition), 0),
			Tst(W11, mask),
			BCond(EQ, take),
			B(refused),
		)
	}
}

// leave emits trace_clear_recursion: it enables preemption, reschedules if
// that is due, and then gives up the bit in mask, the X register of what enter
// took. x9..x11 change, and what a call changes.
func (c *code) leave(mask Reg) (rare func()) {
	var (
		task    = &c.l.Task
		resched = c.Label("need resched")
		clear   = c.Label("clear the bit")
	)
	c.Emit(
		Mrs(X9, SP_EL0),
		// The count and, above it, a word that is 0 when a reschedule is due:
		// 64 bits of 0 mean to do it now (arch/arm64/include/asm/preempt.h,
		// __preempt_count_dec_and_test). Only the count is written. An
		// interrupt may have asked between load and store, so look again.
		Ldr(X10, at(X9, task.PreemptCount)),
		SubImm(X10, X10, 1),
		Str(W10, at(X9, task.PreemptCount)),
		Cbz(X10, resched),
		Ldr(X10, at(X9, task.PreemptCount)),
		Cbz(X10, resched),
	)
	c.Bind(clear)
	c.Emit(
		Ldr(X10, at(X9, task.TraceRecursion)),
		Bic(X10, X10, mask),
		Str(X10, at(X9, task.TraceRecursion)),
	)
	return func() {
		c.Bind(resched)
		c.call(c.data.PreemptSchedule)
		c.Emit(
			Mrs(X9, SP_EL0),
			B(clear),
		)
	}
}

// guarded emits a function that runs body under the recursion bit of start, with preemption disabled, and
// does nothing where the bit is taken. body keeps x19 and may go to out; what it returns, if anything, emits
// its own rare paths. result comes before the function returns, either way.
//
//	entry sp ->  +-----------------+
//	             | x19, -          |
//	     sp+16   | x29, x30        |  frame record; x29 points here
//	        sp ->+-----------------+
func (c *code) guarded(start int, body func(out Label) (rare func()), result ...Inst) {
	const (
		frame   = 32
		saved19 = 16
	)
	out, refused := c.Label("out"), c.Label("recursion")
	c.Emit(
		Stp(FP, LR, Pre(SP, -frame)),
		Mov(FP, SP),
		Str(X19, Off(SP, saved19)),
	)
	enterRare := c.enter(start, W19, refused)
	bodyRare := body(out)
	c.Bind(out)
	leaveRare := c.leave(X19)
	c.Bind(refused)
	c.Emit(result...)
	c.Emit(
		Ldr(X19, Off(SP, saved19)),
		Ldp(FP, LR, Post(SP, frame)),
		Ret(),
	)
	if bodyRare != nil {
		bodyRare()
	}
	enterRare()
	leaveRare()
}

// rcuWatchingBit is CT_RCU_WATCHING's bit in context_tracking.state: the
// counter above the two state bits is odd while RCU is watching the CPU
// (include/linux/context_tracking.h, rcu_is_watching_curr_cpu).
const rcuWatchingBit = 2

// ifRCUIdle emits a branch to idle for when RCU is not watching this CPU.
// Preemption is disabled. x9 changes.
func (c *code) ifRCUIdle(idle Label) {
	c.loadPerCPU(W9, c.l.PerCPU.ContextState)
	c.Emit(Tbz(W9, rcuWatchingBit, idle))
}

// maxOffset is how far the scaled immediate of a 4-byte load reaches.
const maxOffset = 4095 * 4

// loadPerCPU loads this CPU's copy of a variable; x9 and rd change.
func (c *code) loadPerCPU(rd Reg, offset int) {
	c.Emit(Mrs(X9, TPIDR_EL1))
	if offset >= 0 && offset <= maxOffset {
		c.Emit(Ldr(rd, at(X9, offset)))
		return
	}
	// A distribution's kernel has it further off.
	c.Emit(MovImm(X10, uint64(offset))...)
	c.Emit(Ldr(rd, Idx(X9, X10, 0)))
}
