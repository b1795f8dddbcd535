package trampolines

import . "callops/asm"

// The sample tracers are those of samples/ftrace/ftrace-ops.c, Linux 6.12. They
// lie in a module there, so they have patch slots, and these cost two
// instructions of each call: MOV X9, X30 and NOP.
//
// Differs: they are no call sites here, so a tracer never traces itself.

func (c *code) opsFuncNop() {
	c.Emit(
		Mov(X9, LR),
		Nop(),
		Ret(),
	)
}

// opsFuncCount is container_of(op, struct sample_ops, ops)->count++.
func (c *code) opsFuncCount() {
	count := at(X2, c.l.Ops.Size)
	c.Emit(
		Mov(X9, LR),
		Nop(),
		Ldr(W9, count),
		AddImm(W9, W9, 1),
		Str(W9, count),
		Ret(),
	)
}
