package trampolines

import . "callops/asm"

// assistFunc is ftrace_ops_assist_func (kernel/trace/ftrace.c, Linux 6.12): it
// stands between a site and the one ops that asked for protection from
// recursion, or to be called only while RCU is watching. It tests no hash, no STUB
// and, like Linux, not whether there is a func.
func (c *code) assistFunc() {
	ops, wantRCU, call := &c.l.Ops, c.Label("wants RCU"), c.Label("call func")
	c.guarded(traceListStart, func(out Label) func() {
		c.Emit(
			Ldr(X12, at(X2, ops.Flags)),
			Tbnz(X12, opsRCUBit, wantRCU),
		)
		c.Bind(call)
		c.Emit(
			Ldr(X12, at(X2, ops.Func)),
			Blr(X12), // x0..x3 are as they came
		)
		return func() {
			c.Bind(wantRCU)
			c.ifRCUIdle(out)
			c.Emit(B(call))
		}
	})
}
