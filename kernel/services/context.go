package services

import (
	"context"
	"errors"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// What preempt_count adds for a context (include/linux/preempt.h).
const (
	softirqOffset = 1 << 8
	hardirqOffset = 1 << 16
)

// AtomicError is a function that may sleep, called where the task can't: the kernel's
// "BUG: scheduling while atomic" and "sleeping function called from invalid context".
// It matches EDEADLK: what would be waited for may wait for this CPU.
type AtomicError struct {
	Func   string
	Caller string // as %pS; "" where the call itself did
	Count  uint32 // preempt_count
	Locked uint32 // rcu_read_lock_nesting, where the function waits for RCU's readers
}

func (e *AtomicError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	if e.Locked != 0 {
		return fmt.Sprintf("%s was called%s, and waits for RCU's readers, of which its task is one (rcu_read_lock_nesting %d)", e.Func, by, e.Locked)
	}
	return fmt.Sprintf("%s was called%s, and may sleep, where preempt_count is %#x", e.Func, by, e.Count)
}

// Is reports EDEADLK.
func (e *AtomicError) Is(target error) bool { return target == errno.EDEADLK }

// preemptCount is the address of a CPU's task's preempt_count; 0 where tasks have none.
func (s *Services) preemptCount(cpu emu.CPU) uint64 {
	off := s.k.Layout.Task.PreemptCount
	if off == kernelimage.Absent {
		return 0
	}
	return cpu.Regs().SPEL0 + uint64(off)
}

// maySleep is might_sleep.
func (c *request) maySleep() error {
	at := c.s.preemptCount(c.cpu)
	if at == 0 {
		return nil
	}
	n, err := c.s.k.Mem.Load32(at)
	if err != nil || n == 0 {
		return err
	}
	return &AtomicError{Func: c.r.Name, Caller: c.caller(), Count: n}
}

// notReader is an error where the task is a reader that it would wait for.
func (c *request) notReader(kind GraceKind) error {
	off := c.s.k.Layout.Task.RCULocked
	if off == kernelimage.Absent || kind != RCU {
		return nil
	}
	n, err := c.s.k.Mem.Load32(c.task() + uint64(off))
	if err != nil || n == 0 {
		return err
	}
	return &AtomicError{Func: c.r.Name, Caller: c.caller(), Locked: n}
}

// inContext calls a function of the kernel with preempt_count raised, as in an
// interrupt.
func (s *Services) inContext(ctx context.Context, cpu emu.CPU, raise uint32, fn uint64, args ...uint64) error {
	at := s.preemptCount(cpu)
	if at == 0 {
		_, err := s.guest(ctx, cpu, fn, args...)
		return err
	}
	n, err := s.k.Mem.Load32(at)
	if err != nil {
		return err
	}
	if err := s.k.Mem.Store32(at, n+raise); err != nil {
		return err
	}
	if _, err := s.guest(ctx, cpu, fn, args...); err != nil {
		return err
	}
	now, err := s.k.Mem.Load32(at)
	if err != nil {
		return err
	}
	if now != n+raise {
		return fmt.Errorf("%s returned with preempt_count %#x, not %#x: %w", s.k.Where(fn), now, n+raise, errno.EINVAL)
	}
	return s.k.Mem.Store32(at, n)
}

// background is the context of calls within another, which end with that.
var background = context.Background()

// guest calls a function of the kernel on a CPU.
func (s *Services) guest(ctx context.Context, cpu emu.CPU, fn uint64, args ...uint64) (uint64, error) {
	res, err := s.k.Caller().Call(ctx, cpu, nil, fn, args...)
	return res.X0, err
}

// irqCallName is the code that calls func(info) with interrupts masked.
const irqCallName = "callops_irq_call"

// placeIrqCall places irqCall(func, info), and enables interrupts on each CPU, which a reset has
// masked: the kernel's functions are called as by a task. (An engine that does not run has none.)
func (s *Services) placeIrqCall() error {
	p, err := s.k.PlaceCode("services-irq", kernel.CodeOptions{Core: true}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func(irqCallName)
		b.Emit(
			asm.Stp(asm.X29, asm.X30, asm.Pre(asm.SP, -32)),
			asm.Str(asm.X19, asm.Off(asm.SP, 16)),
			asm.Mov(asm.X29, asm.SP),
			asm.Mrs(asm.X19, asm.DAIF),
			asm.Word32(0xd50343df), // msr daifset, #3
			asm.Mov(asm.X2, asm.X0),
			asm.Mov(asm.X0, asm.X1),
			asm.Blr(asm.X2),
			asm.Msr(asm.DAIF, asm.X19),
			asm.Ldr(asm.X19, asm.Off(asm.SP, 16)),
			asm.Ldp(asm.X29, asm.X30, asm.Post(asm.SP, 32)),
			asm.Ret(),
		)
		b.Func("callops_irq_enable")
		b.Emit(asm.Word32(0xd5034fff), asm.Ret()) // msr daifclr, #15
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return err
	}
	s.irqCall = p.Base
	for _, cpu := range s.k.CPUs {
		if _, err := s.guest(background, cpu.CPU, p.Symbols[1].Addr); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}
