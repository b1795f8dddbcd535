package trampolines

import (
	. "callops/asm"

	"callops/kernelimage"
)

// stubs are the functions that do next to nothing. None of them is a call site:
// kernel/trace is compiled without patchable entries, so what a compiler makes
// of an empty function there is a lone RET.
func (c *code) stubs() {
	// arch/arm64/kernel/entry-ftrace.S: ftrace_stub
	c.function(c.stub)
	c.Emit(Ret())

	// kernel/trace/ftrace.c: ftrace_ops_nop_func, what a disabled site's
	// literal leads to if a CPU still runs the old BL.
	c.function(c.Label("ftrace_ops_nop_func"))
	c.Emit(Ret())

	if c.l.Ops.DirectCall == kernelimage.Absent {
		return
	}

	// entry-ftrace.S: ftrace_stub_direct_tramp, a direct call that returns to
	// the traced function: x9 goes back to x30, and on at the site.
	c.Func("ftrace_stub_direct_tramp")
	c.Emit(
		Bti(BTIC),
		Mov(X10, LR),
		Mov(LR, X9),
		RetReg(X10),
	)

	// kernel/trace/ftrace.c: call_direct_funcs, the func of an ops with a
	// direct call. It runs as one of several on a site, and asks ftrace_caller
	// for the late path (arch_ftrace_set_direct_caller).
	c.function(c.Label("call_direct_funcs"))
	none := c.Label("no direct call")
	c.Emit(
		Ldr(X9, at(X2, c.l.Ops.DirectCall)),
		Cbz(X9, none),
		Str(X9, at(X3, c.l.Regs.DirectTramp)),
	)
	c.Bind(none)
	c.Emit(Ret())
	c.EndFunc()
}
