package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
)

// StallError is a grace period that does not end. It matches EDEADLK. What was
// to be freed after it must not be.
type StallError struct {
	Kind    Kind
	Readers []Stalled // the tasks that it waits for, by name

	why string
}

// Stalled is a task that a grace period waits for.
type Stalled struct {
	Task      string
	CPU       int      // -1: it has none
	PC        uint64   // 0: in its body's Go code
	Where     string   // PC as symbol+offset
	Backtrace []uint64 // PC, then return addresses, innermost first
}

func (e *StallError) Error() string {
	var readers []string
	for _, r := range e.Readers {
		readers = append(readers, r.String())
	}
	return fmt.Sprintf("%s %s: %s", e.Kind, e.why, strings.Join(readers, "; "))
}

// Is makes the error match EDEADLK.
func (e *StallError) Is(target error) bool { return target == errno.EDEADLK }

func (r Stalled) String() string {
	if r.CPU < 0 {
		return fmt.Sprintf("%s, preempted at %s", r.Task, r.Where)
	}
	return fmt.Sprintf("%s on CPU %d at %s", r.Task, r.CPU, r.Where)
}

// stalled gives a grace period up. itself, when there is one, is the task that
// waits, of all that are waited for.
func (s *Scheduler) stalled(p *gracePeriod, why string, itself *Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p.waits) == 0 {
		return nil // after all
	}
	e := &StallError{Kind: p.kind, why: why}
	for t := range p.waits {
		if itself == nil || itself == t {
			e.Readers = append(e.Readers, s.describe(t))
		}
	}
	slices.SortFunc(e.Readers, func(a, b Stalled) int {
		return cmp.Or(strings.Compare(a.Task, b.Task), cmp.Compare(a.CPU, b.CPU))
	})
	// A callback may still wait for it.
	if !slices.ContainsFunc(s.pending, func(c callback) bool { return c.period == p }) {
		s.periods = slices.DeleteFunc(s.periods, func(other *gracePeriod) bool { return other == p })
		s.awaited.Store(int32(len(s.periods)))
	}
	return e
}

// describe tells where a task was seen last; s.mu is held.
func (s *Scheduler) describe(t *Task) Stalled {
	r := Stalled{Task: t.Name, CPU: -1, Where: "its own Go code"}
	if t.state == running {
		r.CPU = t.cpu.id
	}
	t.seenMu.Lock()
	at := t.seen
	t.seenMu.Unlock()
	switch {
	case t.idle:
		r.Where = "the idle loop"
	case !at.body:
		r.PC, r.Where = at.regs.PC, s.k.Where(at.regs.PC)
		r.Backtrace = s.k.Unwind(t.task.Stack, &at.regs)
	}
	return r
}
