package schedule

import (
	. "callops/asm" // mnemonics read as in a listing
	"callops/board"
)

// hvcStep is the number of the HVC by which a thread asks what to call, and tells what the last call has returned.
const hvcStep = board.FirstHypercall

// body is a kernel thread's function, whose data is its number.
type body struct{ start, step uint64 }

// assemble assembles it. schedule is the kernel's function: a thread calls it after each step, a quiescent state for RCU and RCU-tasks.
func (t *body) assemble(base, schedule uint64) (*Program, error) {
	const frame, saved, result = 32, 16, 24
	b := NewBuilder()
	b.Func("thread")
	b.Emit(Stp(FP, LR, Pre(SP, -frame)), Mov(FP, SP), Str(X19, Off(SP, saved)), Mov(X19, X0))
	again := b.Here("again")
	b.Emit(Hvc(hvcStep), Blr(X16), Str(X0, Off(SP, result)))
	b.Emit(MovImm(X16, schedule)...)
	b.Emit(Blr(X16), Ldr(X0, Off(SP, result)), B(again))
	b.EndFunc()
	p, err := b.Assemble(base)
	if err != nil {
		return nil, err
	}
	t.start = base
	t.step, _ = p.AddrOf(again)
	return p, nil
}
