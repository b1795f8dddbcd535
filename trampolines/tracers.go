package trampolines

import . "callops/asm"

// sampleTracers are those of samples/ftrace/ftrace-ops.c, Linux 6.12. They lie
// in a module there, so they have patch slots, and these cost two instructions
// of each call: MOV X9, X30 and NOP.
//
// Differs: they are no call sites here, so a tracer never traces itself.
func (c *code) sampleTracers() {
	c.function(c.Label("ops_func_nop"))
	c.Emit(
		Mov(X9, LR),
		Nop(),
		Ret(),
	)

	// container_of(op, struct sample_ops, ops)->count++
	c.function(c.Label("ops_func_count"))
	count := at(X2, c.l.Ops.Size)
	c.Emit(
		Mov(X9, LR),
		Nop(),
		Ldr(W9, count),
		AddImm(W9, W9, 1),
		Str(W9, count),
		Ret(),
	)
	c.EndFunc()
}
