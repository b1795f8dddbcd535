package board

import (
	. "callops/asm" // mnemonics read as in a listing
)

// threadBody is the function of a kernel thread: its calls in turn, and again.
type threadBody struct {
	calls   []GuestCall // with addresses
	rounds  uint64      // 0: no end
	helpers map[string]uint64
}

// assemble follows what kernel/kthread.c asks of a thread's function: it returns when kthread_should_stop says so. x0 are the thread's data: the
// count of rounds, and the calls' results.
func (t *threadBody) assemble(base uint64) (*Program, error) {
	const frame = 32
	b := NewBuilder()
	again, rest, end := b.Label("again"), b.Label("rest"), b.Label("end")
	call := func(addr uint64, args ...uint64) {
		for i, v := range args {
			b.Emit(MovImm(X0+Reg(i), v)...)
		}
		b.Emit(MovImm(X16, addr)...)
		b.Emit(Blr(X16))
	}
	b.Func("thread_body")
	b.Emit(Stp(FP, LR, Pre(SP, -frame)), Mov(FP, SP), Str(X19, Off(SP, 16)), Mov(X19, X0))
	b.Bind(again)
	call(t.helpers["kthread_should_stop"])
	b.Emit(Cbnz(W0, end))
	if t.rounds != 0 {
		b.Emit(Ldr(X9, Base(X19)))
		b.Emit(MovImm(X10, t.rounds)...)
		b.Emit(Cmp(X9, X10), BCond(HS, rest))
	}
	for i, c := range t.calls {
		call(c.Addr, c.Args...)
		b.Emit(Str(X0, Off(X19, 8*int64(1+i))))
	}
	b.Emit(Ldr(X9, Base(X19)), AddImm(X9, X9, 1), Str(X9, Base(X19)))
	call(t.helpers["schedule"])
	b.Emit(B(again))
	b.Bind(rest)
	call(t.helpers["schedule_timeout_interruptible"], restJiffies)
	b.Emit(B(again))
	b.Bind(end)
	b.Emit(Mov(W0, WZR), Ldr(X19, Off(SP, 16)), Ldp(FP, LR, Post(SP, frame)), Ret())
	b.EndFunc()
	return b.Assemble(base)
}
