package trampolines

import . "callops/asm"

// functionTracer is function_trace_call (kernel/trace/trace_functions.c, Linux
// 6.12): it records ip and parent_ip in this CPU's ring, whose protocol
// [RingReserve] describes.
//
//	entry sp ->  +-----------------+
//	             | x19, -          |
//	     sp+16   | x29, x30        |  frame record; x29 points here
//	        sp ->+-----------------+
//
// Differs: a ring of fixed entries in place of trace_function and the ring
// buffer; the presence of a ring determines whether to record, not
// trace_array.function_enabled and trace_array_cpu.disabled.
func (c *code) functionTracer() {
	const (
		frame   = 32
		saved19 = 16

		ring, mask, slot, reserve = X12, X13, X14, X15
	)
	var (
		claim   = c.Label("claim")
		publish = c.Label("publish")
		full    = c.Label("full")
		out     = c.Label("out")
		refused = c.Label("recursion")
	)
	c.Emit(
		Stp(FP, LR, Pre(SP, -frame)),
		Mov(FP, SP),
		Str(X19, Off(SP, saved19)),
	)
	enterRare := c.enter(traceFtraceStart, W19, refused)
	c.Emit(Ldr(W8, at(X9, c.l.Task.CPU)))
	c.loadPerCPU(ring, c.l.PerCPU.RingBuffer)
	c.Emit(
		Cbz(ring, out),
		Ldr(mask, Off(ring, RingMask)),
	)

	// Claim the entry numbered reserve, unless all slots hold entries that
	// this CPU has claimed and not published: then the slot is still being
	// written, by what this interrupted.
	c.Bind(claim)
	c.Emit(
		Ldp(reserve, X9, Off(ring, RingReserve)), // and head, with no interrupt between
		Sub(X9, reserve, X9),
		Cmp(X9, mask),
		BCond(HI, full),
		Mov(X9, reserve),
		AddImm(X10, reserve, 1),
		Cas(X9, X10, ring), // RingReserve is at 0
		Cmp(X9, reserve),
		BCond(NE, claim), // an interrupt claimed it
		// A reader that sees any of the new entry sees the claim too.
		Dmb(ISHST),
		And(slot, reserve, mask),
		Add(slot, ring, slot, LSL(RingEntryShift)),
		Mrs(X9, CNTVCT_EL0),
		Stp(X8, X0, Off(slot, RingEntries+EntryCPU)),      // cpu, ip
		Stp(X1, X9, Off(slot, RingEntries+EntryParentIP)), // parent_ip, time
	)

	// Publish it. What was interrupted while it wrote an entry does so itself,
	// for all entries that came between.
	c.Emit(
		Ldr(X9, Off(ring, RingHead)),
		Cmp(X9, reserve),
		BCond(NE, out),
		AddImm(X10, ring, RingHead),
	)
	c.Bind(publish)
	c.Emit(
		Ldr(X9, Off(ring, RingReserve)),
		Stlr(X9, X10),
		Ldr(X11, Off(ring, RingReserve)),
		Cmp(X9, X11),
		BCond(NE, publish), // an interrupt claimed one meanwhile, and left it to us
	)

	c.Bind(out)
	leaveRare := c.leave(X19)
	c.Bind(refused)
	c.Emit(
		Ldr(X19, Off(SP, saved19)),
		Ldp(FP, LR, Post(SP, frame)),
		Ret(),
	)

	c.Bind(full)
	c.Emit(
		AddImm(X10, ring, RingDropped),
		Movz(X9, 1, 0),
		Stadd(X9, X10),
		B(out),
	)
	enterRare()
	leaveRare()
}
