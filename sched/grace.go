package sched

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// gracePeriod is one that has begun.
type gracePeriod struct {
	kind  Kind
	waits map[*Task]struct{} // guarded by Scheduler.mu
	ended chan struct{}
}

// callback is a function to call after a grace period.
type callback struct {
	period *gracePeriod
	fn     func()
}

// SynchronizeRCUTasksRude is synchronize_rcu_tasks_rude: it drives every CPU
// through its scheduler.
func (s *Scheduler) SynchronizeRCUTasksRude() error { return s.synchronize(Rude) }

// SynchronizeRCUTasks is synchronize_rcu_tasks: it waits until every task that
// was in the kernel, running or preempted, has left voluntarily once.
func (s *Scheduler) SynchronizeRCUTasks() error { return s.synchronize(Tasks) }

// SynchronizeRCU is synchronize_rcu: it waits until what ran with preemption
// disabled has enabled it.
func (s *Scheduler) SynchronizeRCU() error { return s.synchronize(RCU) }

// CallRCU is call_rcu: fn is called after such a grace period, by a later call
// of one of these methods or of Barrier or Close, on its goroutine.
func (s *Scheduler) CallRCU(fn func()) { s.call(RCU, fn) }

// CallRCUTasks is call_rcu_tasks.
func (s *Scheduler) CallRCUTasks(fn func()) { s.call(Tasks, fn) }

// Barrier is rcu_barrier and rcu_barrier_tasks: it waits until all callbacks
// that are pending have been called. It is called where a callback may run:
// between two operations of the callbacks' owner.
func (s *Scheduler) Barrier() error {
	s.mu.Lock()
	pending := slices.Clone(s.pending)
	s.mu.Unlock()
	for _, c := range pending {
		if err := s.wait(c.period); err != nil {
			return err
		}
	}
	s.runRipe()
	return nil
}

func (s *Scheduler) call(kind Kind, fn func()) {
	s.mu.Lock()
	s.pending = append(s.pending, callback{s.begin(kind), fn})
	s.mu.Unlock()
	s.runRipe()
}

// runRipe calls the callbacks whose grace period is over.
func (s *Scheduler) runRipe() {
	s.mu.Lock()
	var run []func()
	s.pending = slices.DeleteFunc(s.pending, func(c callback) bool {
		if len(c.period.waits) > 0 {
			return false
		}
		run = append(run, c.fn)
		return true
	})
	s.mu.Unlock()
	for _, fn := range run {
		fn()
	}
}

func (s *Scheduler) synchronize(kind Kind) error {
	s.runRipe()
	s.mu.Lock()
	period := s.begin(kind)
	s.mu.Unlock()
	err := s.wait(period)
	s.runRipe()
	return err
}

// begin begins a grace period; s.mu is held.
func (s *Scheduler) begin(kind Kind) *gracePeriod {
	p := &gracePeriod{kind: kind, waits: map[*Task]struct{}{}, ended: make(chan struct{})}
	for t := range s.tasks {
		if kind.Holds(t.reader()) {
			p.waits[t] = struct{}{}
		}
	}
	if len(p.waits) == 0 {
		close(p.ended)
		return p
	}
	s.periods = append(s.periods, p)
	s.awaited.Store(int32(len(s.periods)))
	if kind == Rude {
		for _, c := range s.cpus {
			c.resched.Store(true)
		}
		s.wake.Broadcast()
	}
	return p
}

// happened tells the grace periods of an event on the calling CPU; s.mu is held.
func (s *Scheduler) happened(t *Task, e Event) {
	if len(s.periods) == 0 {
		return
	}
	r := t.reader()
	s.periods = slices.DeleteFunc(s.periods, func(p *gracePeriod) bool {
		if _, waits := p.waits[t]; !waits || !p.kind.Ends(e, r) {
			return false
		}
		delete(p.waits, t)
		if len(p.waits) > 0 {
			return false
		}
		close(p.ended)
		t.cpu.ended = true
		return true
	})
	s.awaited.Store(int32(len(s.periods)))
}

// wait returns when a grace period has ended, or will not.
func (s *Scheduler) wait(p *gracePeriod) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if t := s.Caller(); t != nil && s.holds(p, t) {
		return s.stalled(p, "is waited for by itself", t)
	}
	ctx, cancel := context.WithTimeout(background, s.opts.Stall)
	defer cancel()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return s.stalled(p, fmt.Sprintf("has not ended after %v", s.opts.Stall.Round(time.Millisecond)), nil)
	}
}

// holds reports whether the grace period waits for the task.
func (s *Scheduler) holds(p *gracePeriod, t *Task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waits := p.waits[t]
	return waits
}
