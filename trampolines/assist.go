package trampolines

import . "callops/asm"

// assistFunc is ftrace_ops_assist_func (kernel/trace/ftrace.c, Linux 6.12): it
// stands between a site and the one ops that asked for protection from
// recursion, or to be called only while RCU is watching. It tests no hash, no STUB
// and, like Linux, not whether there is a func.
//
//	entry sp ->  +-----------------+
//	             | x19, -          |
//	     sp+16   | x29, x30        |  frame record; x29 points here
//	        sp ->+-----------------+
func (c *code) assistFunc() {
	const (
		frame   = 32
		saved19 = 16
	)
	var (
		ops     = &c.l.Ops
		wantRCU = c.Label("wants RCU")
		call    = c.Label("call func")
		out     = c.Label("out")
		refused = c.Label("recursion")
	)
	c.Emit(
		Stp(FP, LR, Pre(SP, -frame)),
		Mov(FP, SP),
		Str(X19, Off(SP, saved19)),
	)
	enterRare := c.enter(traceListStart, W19, refused)
	c.Emit(
		Ldr(X12, at(X2, ops.Flags)),
		Tbnz(X12, opsRCUBit, wantRCU),
	)
	c.Bind(call)
	c.Emit(
		Ldr(X12, at(X2, ops.Func)),
		Blr(X12), // x0..x3 are as they came
	)
	c.Bind(out)
	leaveRare := c.leave(X19)
	c.Bind(refused)
	c.Emit(
		Ldr(X19, Off(SP, saved19)),
		Ldp(FP, LR, Post(SP, frame)),
		Ret(),
	)

	c.Bind(wantRCU)
	c.ifRCUIdle(out)
	c.Emit(B(call))
	enterRare()
	leaveRare()
}
