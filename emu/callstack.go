package emu

import (
	"context"
	"fmt"

	"callops/internal/errno"
)

// MaxDepth is how many calls may be in progress on one CPU, each made by a gate
// that the one before it reached. They share the guest's stack and the host's;
// this bounds the latter, of which Go can't recover an overflow.
const MaxDepth = 32

// DepthError is a call refused because MaxDepth calls are in progress on its
// CPU. It matches ELOOP.
type DepthError struct{ Addr uint64 }

func (e *DepthError) Error() string {
	return fmt.Sprintf("call of %#x: %d calls are in progress on this CPU, one within another", e.Addr, MaxDepth)
}

// Is reports ELOOP.
func (e *DepthError) Is(target error) bool { return target == errno.ELOOP }

// CallStack is the calls in progress on one CPU, and what the innermost has
// left of the budget that it shares with those around it. Every [CPU] has one;
// the zero value has no calls. Code that moves a task from CPU to CPU moves it
// with the registers.
type CallStack struct {
	depth int
	left  uint64          // of the innermost call's budget
	ctx   context.Context // of the innermost call, nil when depth is 0
}

// Frame is one call on a [CallStack].
type Frame struct {
	Ctx context.Context // ends with the call's context and with those of the calls around it

	outer CallStack
	given uint64
	stop  func()
}

// Enter begins a call of the function at addr that may spend budget, and no
// more than the call around it has left. A budget of 0 is all of that, or
// DefaultBudget when there is no call around it. The error is a [*DepthError], or
// EINVAL without a context.
func (s *CallStack) Enter(ctx context.Context, addr, budget uint64) (Frame, error) {
	if ctx == nil {
		return Frame{}, fmt.Errorf("call of %#x: no context: %w", addr, errno.EINVAL)
	}
	if s.depth >= MaxDepth {
		return Frame{}, &DepthError{addr}
	}
	f := Frame{outer: *s, given: budget}
	switch {
	case s.depth > 0 && budget == 0:
		f.given = s.left
	case s.depth > 0:
		f.given = min(budget, s.left)
	case budget == 0:
		f.given = DefaultBudget
	}
	f.Ctx, f.stop = join(ctx, s.ctx)
	*s = CallStack{depth: s.depth + 1, left: f.given, ctx: f.Ctx}
	return f, nil
}

// Leave ends the call that Enter began. What it spent, the call around it has
// spent too.
func (s *CallStack) Leave(f Frame) {
	f.stop()
	spent := f.given - s.left
	*s = f.outer
	if s.depth > 0 {
		s.left -= spent
	}
}

// InProgress reports whether a call is: a gate that it reached may call too.
func (s *CallStack) InProgress() bool { return s.depth > 0 }

// Depth returns how many calls are in progress.
func (s *CallStack) Depth() int { return s.depth }

// Left returns what the innermost call may still spend.
func (s *CallStack) Left() uint64 { return s.left }

// Spend takes n from what is left.
func (s *CallStack) Spend(n uint64) { s.left -= min(s.left, n) }

// Charge takes one from what is left, for what is served at pc. The error is the
// context's that has ended, or ErrBudget.
//
// Guest code can go from gate to gate without executing an instruction, where
// no engine looks at a context or a budget. So every gate that is served is
// charged. Where no call is in progress, Charge does nothing.
func (s *CallStack) Charge(pc uint64) error {
	if s.depth == 0 {
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.left == 0 {
		return OutOfBudget(pc)
	}
	s.left--
	return nil
}

// OutOfBudget is the error of a call that has no budget left to go on at pc.
func OutOfBudget(pc uint64) error { return fmt.Errorf("at %#x: %w", pc, ErrBudget) }

// join returns a context that ends when either ends; outer may be nil. stop
// frees what that takes.
func join(ctx, outer context.Context) (joint context.Context, stop func()) {
	switch {
	case outer == nil || outer == ctx || outer.Done() == nil:
		return ctx, func() {}
	case ctx.Done() == nil:
		return outer, func() {}
	}
	joint, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(outer, cancel)
	return &jointContext{joint, ctx, outer}, func() { unhook(); cancel() }
}

// jointContext has the error of the context that ended it.
type jointContext struct {
	context.Context
	ctx, outer context.Context
}

func (j *jointContext) Err() error {
	err := j.Context.Err()
	if err == nil || j.ctx.Err() != nil {
		return err
	}
	return j.outer.Err()
}
