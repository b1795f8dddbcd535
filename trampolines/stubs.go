package trampolines

import . "callops/asm"

// empty is ftrace_stub (arch/arm64/kernel/entry-ftrace.S) and
// ftrace_ops_nop_func (kernel/trace/ftrace.c), which a disabled site's literal
// leads to if a CPU still runs the old BL. Neither is a call site: kernel/trace
// is compiled without patchable entries, so what a compiler makes of an empty
// function there is a lone RET.
func (c *code) empty() { c.Emit(Ret()) }

// stubDirectTramp is ftrace_stub_direct_tramp (entry-ftrace.S), a direct call
// that returns to the traced function: x9 goes back to x30, and on at the site.
func (c *code) stubDirectTramp() {
	c.Emit(
		Bti(BTIC),
		Mov(X10, LR),
		Mov(LR, X9),
		RetReg(X10),
	)
}

// callDirectFuncs is call_direct_funcs (kernel/trace/ftrace.c), the func of an
// ops with a direct call. It runs as one of several on a site, and asks
// ftrace_caller for the late path (arch_ftrace_set_direct_caller).
func (c *code) callDirectFuncs() {
	if c.direct == DirectHash {
		c.callDirectHash()
		return
	}
	none := c.Label("no direct call")
	c.Emit(
		Ldr(X9, at(X2, c.l.Ops.DirectCall)),
		Cbz(X9, none),
		Str(X9, at(X3, c.l.Regs.DirectTramp)),
	)
	c.Bind(none)
	c.Emit(Ret())
}
