package schedule

import (
	"context"
	"math/bits"
	"slices"

	"callops/board"
)

// exhaustion runs all schedules with a bounded number of preemptions. Between preemptions a CPU goes on until it waits, spins or has ended a step, and then the
// next one does. A preemption lies before a shared access. What two schedules have in common is executed once: the search goes back to the
// access, and not to the beginning.
type exhaustion struct {
	l    *Lab
	tell func(*Outcome) bool
	done bool // tell wants no more
}

// exhaust reports whether all have been run.
func (l *Lab) exhaust(ctx context.Context, preemptions int, tell func(*Outcome) bool) (bool, error) {
	e := &exhaustion{l: l, tell: tell}
	l.begin()
	err := e.from(ctx, Point{Last: -1, Shared: true}, -1, preemptions)
	return err == nil && !e.done, err
}

// from runs what follows from where the kernel stands. first is the CPU that goes on; -1: the one that would.
func (e *exhaustion) from(ctx context.Context, p Point, first, preemptions int) error {
	l, policy := e.l, roundRobin{}
	for {
		ok, err := l.ready(&p)
		if err != nil {
			return err
		}
		if !ok {
			o := l.outcome()
			e.done = !e.tell(o)
			return nil
		}
		cpu, n := policy.Next(&p)
		switch {
		case first >= 0 && p.Ready>>first&1 == 1:
			cpu, n = first, longTurn
		case p.End == board.TurnPoint && p.Last >= 0 && preemptions > 0:
			if err := e.preempt(ctx, p, preemptions); err != nil || e.done {
				return err
			}
		}
		first = -1
		if err := l.turn(ctx, &p, cpu, n); err != nil {
			return err
		}
	}
}

// preempt runs what follows where the CPU does not go on here, but another one.
func (e *exhaustion) preempt(ctx context.Context, p Point, preemptions int) error {
	l := e.l
	here, watch, segments := l.points.Make(), l.watch.clone(), slices.Clone(l.segments)
	for r := p.Ready &^ (1 << p.Last); r != 0 && !e.done; r &= r - 1 {
		if err := e.from(ctx, p, bits.TrailingZeros(r), preemptions-1); err != nil {
			return err
		}
		l.points.Return(here)
		l.watch, l.segments, l.failure, l.printed = watch.clone(), slices.Clone(segments), nil, l.printed[:0]
	}
	return nil
}
