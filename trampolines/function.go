package trampolines

import . "callops/asm"

// functionTracer is function_trace_call (kernel/trace/trace_functions.c, Linux
// 6.12): it records ip and parent_ip in this CPU's ring, whose protocol
// [RingReserve] describes.
//
// Differs: a ring of fixed entries in place of trace_function and the ring
// buffer; the presence of a ring determines whether to record, not
// trace_array.function_enabled and trace_array_cpu.disabled.
func (c *code) functionTracer() {
	full := c.Label("full")
	c.guarded(traceFtraceStart, func(out Label) func() {
		c.Emit(Ldr(W8, at(X9, c.l.Task.CPU)))
		c.loadPerCPU(ringBase, c.l.PerCPU.RingBuffer)
		c.Emit(Cbz(ringBase, out))
		c.claimEntry(RingEntryShift, full)
		c.Emit(
			Mrs(X9, CNTVCT_EL0),
			Stp(X8, X0, Off(ringSlot, RingEntries+EntryCPU)),      // cpu, ip
			Stp(X1, X9, Off(ringSlot, RingEntries+EntryParentIP)), // parent_ip, time
		)
		c.publishEntry(out)
		return func() { c.dropEntry(full, out) }
	})
}

// Registers of a ring that is written to; x9 and x10 change too, and x11 where an entry is published.
const (
	ringBase    = X12
	ringMask    = X13
	ringSlot    = X14 // of the entry, less RingEntries
	ringReserve = X15 // the entry's number
)

// claimEntry claims an entry of the ring at ringBase, unless all slots hold entries that
// this CPU has claimed and not published: then the slot is still being
// written, by what this interrupted.
func (c *code) claimEntry(shift int, full Label) {
	claim := c.Label("claim")
	c.Emit(Ldr(ringMask, Off(ringBase, RingMask)))
	c.Bind(claim)
	c.Emit(
		Ldp(ringReserve, X9, Off(ringBase, RingReserve)), // and head, with no interrupt between
		Sub(X9, ringReserve, X9),
		Cmp(X9, ringMask),
		BCond(HI, full),
		Mov(X9, ringReserve),
		AddImm(X10, ringReserve, 1),
		Cas(X9, X10, ringBase), // RingReserve is at 0
		Cmp(X9, ringReserve),
		BCond(NE, claim), // an interrupt claimed it
		// A reader that sees any of the new entry sees the claim too.
		Dmb(ISHST),
		And(ringSlot, ringReserve, ringMask),
		Add(ringSlot, ringBase, ringSlot, LSL(shift)),
	)
}

// publishEntry publishes what claimEntry claimed. What was interrupted while it wrote an entry does so itself,
// for all entries that came between; then it goes to out.
func (c *code) publishEntry(out Label) {
	publish := c.Label("publish")
	c.Emit(
		Ldr(X9, Off(ringBase, RingHead)),
		Cmp(X9, ringReserve),
		BCond(NE, out),
		AddImm(X10, ringBase, RingHead),
	)
	c.Bind(publish)
	c.Emit(
		Ldr(X9, Off(ringBase, RingReserve)),
		Stlr(X9, X10),
		Ldr(X11, Off(ringBase, RingReserve)),
		Cmp(X9, X11),
		BCond(NE, publish), // an interrupt claimed one meanwhile, and left it to us
	)
}

// dropEntry counts an entry for which there was no slot, and goes to out.
func (c *code) dropEntry(full, out Label) {
	c.Bind(full)
	c.Emit(
		AddImm(X10, ringBase, RingDropped),
		Movz(X9, 1, 0),
		Stadd(X9, X10),
		B(out),
	)
}
