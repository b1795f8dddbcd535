package schedule

import (
	"fmt"

	. "callops/asm" // mnemonics read as in a listing
	"callops/board"
)

// Numbers of HVC.
const (
	hvcStep   = board.FirstHypercall     // a thread asks what to call, and tells what the last call has returned
	hvcCalled = board.FirstHypercall + 1 // and on: a probe has been called

	maxProbes = board.LastHypercall - hvcCalled + 1
)

// stubs is code in the kernel that tells the host.
type stubs struct {
	step    uint64            // the HVC of threads
	body    uint64            // a thread's function; its data is its number
	funcs   [maxProbes]uint64 // of ops
	directs [maxProbes]uint64
}

// assemble assembles the stubs. schedule is the kernel's function.
//
// A thread calls schedule after each step, a quiescent state for RCU and RCU-tasks.
func (s *stubs) assemble(base, schedule uint64) (*Program, error) {
	const frame, saved, result = 48, 16, 24
	b := NewBuilder()
	b.Func("thread")
	again := b.Label("again")
	b.Emit(Stp(FP, LR, Pre(SP, -frame)), Mov(FP, SP), Str(X19, Off(SP, saved)), Mov(X19, X0))
	b.Bind(again)
	b.Emit(Hvc(hvcStep), Blr(X16), Str(X0, Off(SP, result)))
	b.Emit(MovImm(X16, schedule)...)
	b.Emit(Blr(X16), Ldr(X0, Off(SP, result)), B(again))
	b.EndFunc()
	var funcs, directs [maxProbes]Label
	for i := range uint16(maxProbes) {
		funcs[i] = b.Func(fmt.Sprintf("func_%d", i))
		b.Emit(Hvc(hvcCalled+i), Ret())
		b.EndFunc()
		// A direct call returns into the traced function at x30, whose return address is x9 (samples/ftrace/ftrace-direct.c).
		directs[i] = b.Func(fmt.Sprintf("direct_%d", i))
		b.Emit(Hvc(hvcCalled+i), Mov(X10, LR), Mov(LR, X9), RetReg(X10))
		b.EndFunc()
	}
	p, err := b.Assemble(base)
	if err != nil {
		return nil, err
	}
	s.body = base
	s.step, _ = p.AddrOf(again)
	for i := range maxProbes {
		s.funcs[i], _ = p.AddrOf(funcs[i])
		s.directs[i], _ = p.AddrOf(directs[i])
	}
	return p, nil
}
