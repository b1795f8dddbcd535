package trampolines

import . "callops/asm"

// goldenRatio64 is GOLDEN_RATIO_64 (include/linux/hash.h): bucket numbers are
// the top bits of ip times it.
const goldenRatio64 = 0x61C8864680B583EB

// Registers that the list function keeps over calls.
const (
	listOp      = X19
	listEnd     = X20
	listIP      = X21
	listProduct = X22 // ip * goldenRatio64
	listFregs   = X23
	listBit     = X24 // recursion bit
)

// listFunc is arch_ftrace_ops_list_func (kernel/trace/ftrace.c, Linux 6.12):
// it calls, newest first, every ops on ftrace_ops_list that wants ip. It is
// what a site with several ops calls, and, without CALL_OPS, every site as
// soon as two ops differ.
//
//	entry sp ->  +-----------------+
//	             | ip, parent_ip   |
//	     sp+64   | x23, x24        |
//	     sp+48   | x21, x22        |
//	     sp+32   | x19, x20        |
//	     sp+16   | x29, x30        |  frame record; x29 points here
//	        sp ->+-----------------+
//
// Differs: ip's product with the golden ratio is the same for every hash and
// is computed once a call, where the compiler has it done for each hash with
// more than one bucket.
//
// Differs: the walk loads with acquire. Linux has plain loads there and relies
// on the address dependency, which orders them just as well.
func (c *code) listFunc() {
	const ( // the picture's
		frame   = 80
		saved19 = 16
		saved21 = 32
		saved23 = 48
		saved0  = 64
	)
	var (
		ops     = &c.l.Ops
		loop    = c.Label("each ops")
		wantRCU = c.Label("wants RCU")
		hashes  = c.Label("test the hashes")
		notrace = c.Label("filter matches")
		call    = c.Label("call func")
		next    = c.Label("next ops")
		noFunc  = c.Label("no func")
		out     = c.Label("out")
		refused = c.Label("recursion")
	)

	c.Emit(
		Stp(FP, LR, Pre(SP, -frame)),
		Mov(FP, SP),
		Stp(listOp, listEnd, Off(SP, saved19)),
		Stp(listIP, listProduct, Off(SP, saved21)),
		Stp(listFregs, listBit, Off(SP, saved23)),
	)
	enterRare := c.enter(traceListStart, W24, refused)
	c.Emit(
		Stp(X0, X1, Off(SP, saved0)), // in the order in which func gets them
		Mov(listIP, X0),
		Mov(listFregs, X3),
	)
	c.Emit(MovImm(X9, goldenRatio64)...)
	c.Emit(Mul(listProduct, listIP, X9))
	c.Emit(LoadAddr(listEnd, c.Abs("ftrace_list_end", c.data.ListEnd))...)
	c.Emit(LoadAddr(X9, c.Abs("ftrace_ops_list", c.data.OpsList))...)
	// An empty list is ftrace_list_end, a STUB whose next is NULL.
	c.Emit(Ldar(listOp, X9))

	c.Bind(loop)
	c.Emit(
		Ldr(X9, at(listOp, ops.Flags)),
		Tbnz(X9, opsStubBit, next),
		Tbnz(X9, opsRCUBit, wantRCU),
	)
	c.Bind(hashes)
	c.Emit(
		Ldr(X9, at(listOp, ops.FuncHash)),
		Ldp(X10, X11, at(X9, c.l.OpsHash.Notrace)), // notrace_hash, filter_hash
	)
	c.lookup(X11, notrace, next)
	c.Bind(notrace)
	c.lookup(X10, call, call)
	c.Emit(B(next))

	c.Bind(call)
	c.Emit(
		Ldr(X9, at(listOp, ops.Func)),
		Cbz(X9, noFunc),
		Ldp(X0, X1, Off(SP, saved0)),
		Mov(X2, listOp),
		Mov(X3, listFregs),
		Blr(X9),
	)

	c.Bind(next)
	c.Emit(
		AddImm(X9, listOp, uint64(ops.Next)),
		Ldar(listOp, X9),
		Cbz(listOp, out),
		Cmp(listOp, listEnd),
		BCond(NE, loop),
	)

	c.Bind(out)
	leaveRare := c.leave(listBit)
	c.Bind(refused)
	c.Emit(
		Ldp(listFregs, listBit, Off(SP, saved23)),
		Ldp(listIP, listProduct, Off(SP, saved21)),
		Ldp(listOp, listEnd, Off(SP, saved19)),
		Ldp(FP, LR, Post(SP, frame)),
		Ret(),
	)

	c.Bind(wantRCU)
	c.ifRCUIdle(next)
	c.Emit(B(hashes))
	// FTRACE_WARN_ON: report it, and trust the rest of the list no more.
	c.Bind(noFunc)
	c.Emit(Mov(X0, listOp))
	c.call(c.warn)
	c.Emit(B(out))
	enterRare()
	leaveRare()
}

// lookup emits a search for ip in a hash: it goes to empty where the hash is
// (ftrace_hash_empty: no hash, or no entries and no module to come that has
// some), to miss where ip is not in it, and falls through where it is.
// x12, x13 and the flags change, hash does not.
func (c *code) lookup(hash Reg, empty, miss Label) {
	var (
		search = c.Label("not empty")
		bucket = c.Label("bucket")
		walk   = c.Label("each entry")
		l      = &c.l.Hash
	)
	c.Emit(
		Cbz(hash, empty),
		Ldp(X12, X13, at(hash, l.Count)), // count, flags
		Cbnz(X12, search),
		Tbz(X13, hashModBit, empty),
	)
	c.Bind(search)
	c.Emit(
		Ldp(X12, X13, at(hash, l.SizeBits)), // size_bits, buckets
		Cbz(X12, bucket),                    // one bucket, and its index is 0 as well
		Neg(X12, X12),                       // a shift by 64-size_bits: counts are modulo 64
		Lsr(X12, listProduct, X12),
	)
	c.Bind(bucket)
	c.Emit(Ldr(X12, Idx(X13, X12, 3)))
	// The next entry is loaded before it is known to be wanted, which saves a
	// branch; it is then not followed.
	c.Bind(walk)
	c.Emit(
		Cbz(X12, miss),
		Ldr(X13, at(X12, c.l.Entry.IP)),
		Cmp(X13, listIP),
		Ldr(X12, at(X12, c.l.Entry.Next)),
		BCond(NE, walk),
	)
}
