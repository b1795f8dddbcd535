package check

import (
	"callops/asm"
	"callops/check/internal/model"
)

// The faults in the machine code of an image's own core. Each is made by the compiler's
// calls and instructions that are looked for by name, so that it is the same in every kernel.

// Functions of the core, and what they call.
const (
	shutdown     = "ftrace_shutdown"
	moveHash     = "__ftrace_hash_move_and_update_ops"
	makeNop      = "ftrace_make_nop"
	writeLiteral = "aarch64_insn_write_literal_u64"
	writeInsn    = "__aarch64_insn_write"
	patchText    = "aarch64_insn_patch_text_nosync"
	cleanText    = "caches_clean_inval_pou"
)

// waits are what a kernel calls for synchronize_rcu_tasks; one that is not preemptible has
// only the second.
var waits = []string{"synchronize_rcu_tasks", "synchronize_rcu"}

// setsLiteral are the functions that write a literal: which of them calls for it depends on
// what the compiler inlined.
var setsLiteral = []string{"ftrace_make_call", "ftrace_modify_call", makeNop, "ftrace_rec_update_ops", "ftrace_rec_set_ops"}

// patches are the functions that write an instruction.
var patches = []string{"ftrace_make_call", "ftrace_modify_call", makeNop}

// uncalled has a function call others no more; they return 0.
func uncalled(function string, callees ...string) func(*model.Code) error {
	return func(c *model.Code) error {
		at, err := c.Calls(function, callees...)
		return each(at, err, func(pc uint64) error { return c.PutInst(pc, asm.Movz(asm.W0, 0, 0)) })
	}
}

// each does something at each place.
func each(at []uint64, err error, do func(pc uint64) error) error {
	for _, pc := range at {
		if err == nil {
			err = do(pc)
		}
	}
	return err
}

// redirected has functions call another one. It is no error that some of them do not
// call it, as long as one does.
func redirected(c *model.Code, functions []string, callee string, to uint64) (err error) {
	found := 0
	for _, f := range functions {
		at, missing := c.Calls(f, callee)
		if missing != nil {
			err = missing
			continue
		}
		for _, pc := range at {
			if err := c.Redirect(pc, to); err != nil {
				return err
			}
			found++
		}
	}
	if found > 0 {
		return nil
	}
	return err
}

// freeHashAtOnce calls the callback instead of call_rcu.
func freeHashAtOnce(c *model.Code) error {
	at, err := c.Calls(moveHash, "call_rcu")
	if err != nil {
		return err
	}
	to, err := c.Func("call_at_once", func(b *asm.Builder) { b.Emit(asm.Br(asm.X1)) })
	return each(at, err, func(pc uint64) error { return c.Redirect(pc, to) })
}

// waitForRCU makes both waits of unregistering one for plain RCU.
func waitForRCU(c *model.Code) error {
	to, err := c.Address("synchronize_rcu")
	if err != nil {
		return err
	}
	if err := uncalled(shutdown, "synchronize_rcu_tasks")(c); err != nil {
		return err
	}
	return redirected(c, []string{shutdown}, "synchronize_rcu_tasks_rude", to)
}

// literalInHalves writes a literal as two words, the lower first.
func literalInHalves(c *model.Code) error {
	write, err := c.Address(writeInsn)
	if err != nil {
		return err
	}
	to, err := c.Func("write_halves", func(b *asm.Builder) {
		b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -32)), asm.Mov(asm.FP, asm.SP), asm.Stp(asm.X0, asm.X1, asm.Off(asm.SP, 16)))
		b.Emit(asm.MovImm(asm.X16, write)...)
		b.Emit(asm.Blr(asm.X16), asm.Ldp(asm.X0, asm.X1, asm.Off(asm.SP, 16)), asm.AddImm(asm.X0, asm.X0, 4), asm.LsrImm(asm.X1, asm.X1, 32))
		b.Emit(asm.MovImm(asm.X16, write)...)
		b.Emit(asm.Blr(asm.X16), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 32)), asm.Ret())
	})
	if err != nil {
		return err
	}
	return redirected(c, setsLiteral, writeLiteral, to)
}

// literalLast writes an instruction before the literal that was to come first.
func literalLast(c *model.Code) error {
	var addr [2]uint64
	for i, name := range []string{writeLiteral, patchText} {
		var err error
		if addr[i], err = c.Address(name); err != nil {
			return err
		}
	}
	kept, err := c.Data("literal to be written", 16) // its address, and what it is to hold
	if err != nil {
		return err
	}
	keep, err := c.Func("keep_literal", func(b *asm.Builder) {
		b.Emit(asm.MovImm(asm.X16, kept)...)
		b.Emit(asm.Stp(asm.X0, asm.X1, asm.Off(asm.X16, 0)), asm.Movz(asm.W0, 0, 0), asm.Ret())
	})
	if err != nil {
		return err
	}
	patch, err := c.Func("patch_before_literal", func(b *asm.Builder) {
		done := b.Label("done")
		b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -32)), asm.Mov(asm.FP, asm.SP))
		b.Emit(asm.MovImm(asm.X16, addr[1])...)
		b.Emit(asm.Blr(asm.X16), asm.Str(asm.X0, asm.Off(asm.SP, 16)))
		b.Emit(asm.MovImm(asm.X16, kept)...)
		b.Emit(asm.Ldp(asm.X0, asm.X1, asm.Off(asm.X16, 0)), asm.Cbz(asm.X0, done), asm.Str(asm.XZR, asm.Off(asm.X16, 0)))
		b.Emit(asm.MovImm(asm.X16, addr[0])...)
		b.Emit(asm.Blr(asm.X16))
		b.Bind(done)
		b.Emit(asm.Ldr(asm.X0, asm.Off(asm.SP, 16)), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 32)), asm.Ret())
	})
	if err != nil {
		return err
	}
	if err := redirected(c, setsLiteral, writeLiteral, keep); err != nil {
		return err
	}
	return redirected(c, patches, patchText, patch)
}

// both makes two faults.
func both(a, b func(*model.Code) error) func(*model.Code) error {
	return func(c *model.Code) error {
		if err := a(c); err != nil {
			return err
		}
		return b(c)
	}
}

// Instructions that are looked for, as masks and values.
const (
	stlrMask, stlr = 0xfffffc00, 0xc89ffc00 // stlr xT, [xN]
	str64          = 0xf9000000             // str xT, [xN]
	addOneMask     = 0xfffffc00
	addOne         = 0x91000400 // add xD, xN, #1
	orrOne         = 0xb2400000 // orr xD, xN, #1
	icIvauMask     = 0xffffffe0
	icIvau         = 0xd50b7520
	rtRn           = 0x3ff
)

// plainly makes the store-releases of a function plain stores.
func plainly(function string) func(*model.Code) error {
	return func(c *model.Code) error {
		at, err := c.Words(function, stlrMask, stlr)
		return each(at, err, func(pc uint64) error { return c.Change(pc, func(w uint32) uint32 { return str64 | w&rtRn }) })
	}
}

// headBeforeNext links an ops into the list before it points to the next one: the first
// store-release of __register_ftrace_function comes after the second.
func headBeforeNext(c *model.Code) error {
	at, err := c.Words("__register_ftrace_function", stlrMask, stlr)
	if err != nil {
		return err
	}
	return c.MoveAfter(at[0], at[len(at)-1])
}

// countToOne sets the count of a record's ops to 1 where it is to be one more: the first
// addition that __ftrace_hash_rec_update stores.
func countToOne(c *model.Code) error {
	at, err := c.Words("__ftrace_hash_rec_update", addOneMask, addOne)
	if err != nil {
		return err
	}
	for _, pc := range at {
		next, err := c.Word(pc + 4)
		if err != nil {
			return err
		}
		w, err := c.Word(pc)
		if err != nil {
			return err
		}
		if next&0xffc0001f == 0xf9000000|w&31 { // str of the sum
			return c.Change(pc, func(w uint32) uint32 { return orrOne | w&rtRn })
		}
	}
	return c.Missing("__ftrace_hash_rec_update", "a count")
}

// notInvalidated leaves out IC IVAU.
func notInvalidated(c *model.Code) error {
	at, err := c.Words(cleanText, icIvauMask, icIvau)
	return each(at, err, func(pc uint64) error { return c.PutInst(pc, asm.Nop()) })
}
