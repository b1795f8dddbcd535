package trampolines

import . "callops/asm"

// A set is what the literal of a site with several ops can name in the place of
// ftrace_list_ops: an ops without a direct call, and after it the ops of the
// site. Its func calls these in their order, looks into no filter, and does not
// look at the ops list.
//
//	set+0         func: ftrace_ops_set_func or ftrace_ops_set_assist_func
//	    +flags    STUB
//	    +direct_call  0
//	    +size of struct ftrace_ops
//	              the ops, one after another, and 0
//
// There is at least one ops. A set does not change: literals go from one to
// another. All that a CPU loads from it depends on the address in the literal,
// so a write barrier between the set and the literal is all that it takes.
//
// Linux has nothing like it.

// Registers that both functions keep over calls.
const (
	setNext  = X19 // address of the next ops' address
	setFregs = X20
	setBit   = X21 // recursion bit
)

// SetSize is the size of a set of n ops.
func SetSize(opsSize, n int) uint64 { return uint64(opsSize) + wordSize*(uint64(n)+1) }

// setFunc is the func of a set whose ops ask for no protection. They are called
// as each is where it is alone on a site: preemptible, and with no recursion bit
// taken.
//
//	entry sp ->  +-----------------+
//	             | ip, parent_ip   |
//	     sp+32   | x19, x20        |
//	     sp+16   | x29, x30        |  frame record; x29 points here
//	        sp ->+-----------------+
func (c *code) setFunc() {
	const (
		frame   = 48
		saved19 = 16
		saved0  = 32
	)
	first, again := c.Label("first ops"), c.Label("each ops")
	c.Emit(
		Stp(FP, LR, Pre(SP, -frame)),
		Mov(FP, SP),
		Stp(setNext, setFregs, Off(SP, saved19)),
		Stp(X0, X1, Off(SP, saved0)), // in the order in which func gets them
		Mov(setFregs, X3),
	)
	c.firstOps()
	c.Emit(B(first)) // x0, x1 and x3 are as they came
	c.Bind(again)
	c.Emit(
		Ldp(X0, X1, Off(SP, saved0)),
		Mov(X3, setFregs),
	)
	c.Bind(first)
	c.Emit(
		Ldr(X9, at(X2, c.l.Ops.Func)),
		Blr(X9),
		Ldr(X2, Post(setNext, wordSize)),
		Cbnz(X2, again),
		Ldp(setNext, setFregs, Off(SP, saved19)),
		Ldp(FP, LR, Post(SP, frame)),
		Ret(),
	)
}

// setAssistFunc is the func of a set with an ops that asks for protection from
// recursion, or to be called only while RCU is watching. As in the list function
// all are called under one recursion bit, with preemption disabled, and RCU is
// looked at for those that ask for it.
//
//	entry sp ->  +-----------------+
//	             | x21, -          |
//	     sp+48   | ip, parent_ip   |
//	     sp+32   | x19, x20        |
//	     sp+16   | x29, x30        |  frame record; x29 points here
//	        sp ->+-----------------+
func (c *code) setAssistFunc() {
	const (
		frame   = 64
		saved19 = 16
		saved0  = 32
		saved21 = 48
	)
	var (
		ops     = &c.l.Ops
		each    = c.Label("each ops")
		wantRCU = c.Label("wants RCU")
		call    = c.Label("call func")
		next    = c.Label("next ops")
		refused = c.Label("recursion")
	)
	c.Emit(
		Stp(FP, LR, Pre(SP, -frame)),
		Mov(FP, SP),
		Stp(setNext, setFregs, Off(SP, saved19)),
		Str(setBit, Off(SP, saved21)),
	)
	enterRare := c.enter(traceListStart, W21, refused)
	c.Emit(
		Stp(X0, X1, Off(SP, saved0)), // in the order in which func gets them
		Mov(setFregs, X3),
	)
	c.firstOps()
	c.Bind(each)
	if c.fault != SetSkipsRCU {
		c.Emit(
			Ldr(X9, at(X2, ops.Flags)),
			Tbnz(X9, opsRCUBit, wantRCU),
		)
	}
	c.Bind(call)
	c.Emit(
		Ldr(X9, at(X2, ops.Func)),
		Ldp(X0, X1, Off(SP, saved0)),
		Mov(X3, setFregs),
		Blr(X9),
	)
	c.Bind(next)
	c.Emit(
		Ldr(X2, Post(setNext, wordSize)),
		Cbnz(X2, each),
	)
	leaveRare := func() {}
	if c.fault != SetKeepsBit {
		leaveRare = c.leave(setBit)
	}
	c.Bind(refused)
	c.Emit(
		Ldr(setBit, Off(SP, saved21)),
		Ldp(setNext, setFregs, Off(SP, saved19)),
		Ldp(FP, LR, Post(SP, frame)),
		Ret(),
	)

	c.Bind(wantRCU)
	c.ifRCUIdle(next)
	c.Emit(B(call))
	enterRare()
	leaveRare()
}

// firstOps loads the first ops of the set in x2 into x2.
func (c *code) firstOps() {
	c.Emit(
		AddImm(setNext, X2, uint64(c.l.Ops.Size)),
		Ldr(X2, Post(setNext, wordSize)),
	)
}
