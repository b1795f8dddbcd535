package sched

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"callops/emu"
)

// ErrDeadlock is that a task waits for what no other task can do any more: all sleep, and
// did for Options.Stall.
var ErrDeadlock = errors.New("nothing that can run wakes it")

// sleep is what a task waits for.
type sleep struct {
	ready   func() bool
	until   uint64 // 0: however long it takes
	stalls  bool   // a CPU that executes no instructions for Options.Stall does not keep it
	ticks   uint64 // of all CPUs, when it was looked at last
	expired bool   // it was woken because of until
	stuck   bool   // given up
	stall   *time.Timer
}

// Current is the task that is on a CPU, for code that its goroutine runs: a gate. nil: none is,
// or the CPU is not one of the scheduler's.
func (s *Scheduler) Current(on emu.CPU) *Task {
	if id := on.ID(); id >= 0 && id < len(s.cpus) {
		return s.cpus[id].task
	}
	return nil
}

// Caller is the task in whose Go code the calling goroutine is, its body or a gate; nil: in none's.
func (s *Scheduler) Caller() *Task {
	id := goroutine()
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.tasks {
		t.seenMu.Lock()
		itself := t.goid == id
		t.seenMu.Unlock()
		if itself {
			return t
		}
	}
	return nil
}

// Sleep is for the body and for gates: the task leaves its CPU voluntarily until ready reports
// true. ready is called with the scheduler's lock, at any time and on any goroutine. Where until is not 0
// the task sleeps no longer than until all others do, or wait for later; expired
// reports that. [ErrAtomic] where it can't leave its CPU, [ErrDeadlock] where nothing wakes it.
func (t *Task) Sleep(ready func() bool, until uint64) (expired bool, err error) {
	return t.sleepFor(sleep{ready: ready, until: until})
}

func (t *Task) sleepFor(what sleep) (expired bool, err error) {
	ok, err := t.cpu.preemptible(t)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, fmt.Errorf("%s: %w", t.Name, ErrAtomic)
	}
	if what.ready() {
		return false, nil
	}
	t.sleep = what
	t.leave(leaving{to: waiting})
	woken := t.sleep
	t.sleep = sleep{}
	switch {
	case t.s.ctx.Err() != nil:
		return false, t.s.ctx.Err()
	case woken.stuck:
		return false, fmt.Errorf("%s: %w", t.Name, ErrDeadlock)
	}
	return woken.expired, nil
}

// Spin is Sleep where the task does not leave its CPU voluntarily, as for a spin lock. It is
// preempted if it may be, and answers interrupts.
func (t *Task) Spin(ready func() bool) error {
	var since time.Time
	for !ready() {
		if err := t.s.ctx.Err(); err != nil {
			return err
		}
		if since.IsZero() {
			since = time.Now()
		} else if time.Since(since) > t.s.opts.Stall {
			return fmt.Errorf("%s: %w", t.Name, ErrDeadlock)
		}
		t.cpu.left = 0
		if err := t.cpu.tick(t); err != nil {
			return err
		}
		runtime.Gosched()
	}
	return nil
}

// Relax lets other CPUs run, for code that waits on a CPU without a task; the error is that of the
// context that has ended.
func (s *Scheduler) Relax() error {
	runtime.Gosched()
	return s.ctx.Err()
}

// Woken has the scheduler look which of the tasks that sleep are ready: what they wait for may
// have been done where it is not seen, by Go.
func (s *Scheduler) Woken() {
	s.mu.Lock()
	s.rouse()
	s.mu.Unlock()
}

// fallAsleep puts a task among those that sleep; s.mu is held.
func (s *Scheduler) fallAsleep(t *Task) {
	s.sleeping = append(s.sleeping, t)
	s.asleep.Store(int32(len(s.sleeping)))
	if t.sleep.until == 0 {
		t.sleep.ticks = s.ticks()
		t.sleep.stall = time.AfterFunc(s.opts.Stall, func() { s.giveUp(t) })
	}
}

// rouse makes those runnable that are ready; s.mu is held.
func (s *Scheduler) rouse() {
	if len(s.sleeping) == 0 {
		return
	}
	ended := s.ctx.Err() != nil
	var roused []*Task
	s.sleeping = slices.DeleteFunc(s.sleeping, func(t *Task) bool {
		if !ended && !t.sleep.expired && !t.sleep.stuck && !t.sleep.ready() {
			return false
		}
		roused = append(roused, t)
		return true
	})
	s.asleep.Store(int32(len(s.sleeping)))
	for _, t := range roused {
		if t.sleep.stall != nil {
			t.sleep.stall.Stop()
		}
		s.enqueue(t)
	}
}

// expire lets time pass to when the first of the tasks that sleep is to be woken. It reports
// whether there is one. No CPU has a task, and s.mu is held.
func (s *Scheduler) expire() bool {
	var first *Task
	for _, t := range s.sleeping {
		if t.sleep.until != 0 && (first == nil || t.sleep.until < first.sleep.until) {
			first = t
		}
	}
	if first == nil || s.users > 0 || len(s.queue) > 0 {
		return false
	}
	first.sleep.expired = true
	s.rouse()
	return true
}

// ticks counts what all CPUs' tasks execute.
func (s *Scheduler) ticks() (n uint64) {
	for _, c := range s.cpus {
		n += c.ticks.Load()
	}
	return n
}

// giveUp ends a sleep that has lasted for Options.Stall, unless something can still happen. A CPU
// that is in Go may wait for the sleeper: one that executed nothing all the time does not keep a
// sleep that stalls.
func (s *Scheduler) giveUp(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.sleeping, t) {
		return
	}
	ticks := s.ticks()
	busy := s.idle < len(s.cpus) || s.users > 0 || len(s.queue) > 0
	if busy && !(t.sleep.stalls && ticks == t.sleep.ticks) {
		t.sleep.ticks = ticks
		t.sleep.stall = time.AfterFunc(s.opts.Stall, func() { s.giveUp(t) })
		return
	}
	t.sleep.stuck = true
	s.rouse()
}

// GracePeriod is a grace period that has begun.
type GracePeriod struct {
	s *Scheduler
	p *gracePeriod
}

// Begin begins a grace period.
func (s *Scheduler) Begin(kind Kind) *GracePeriod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &GracePeriod{s, s.begin(kind)}
}

// Ended reports whether it is over.
func (g *GracePeriod) Ended() bool {
	select {
	case <-g.p.ended:
		return true
	default:
		return false
	}
}

// Wait returns when it is over. In a gate the task on that CPU sleeps meanwhile, and is waited for no
// more; on is nil elsewhere. The error is a [*StallError].
func (g *GracePeriod) Wait(on emu.CPU) error {
	if on != nil {
		if t := g.s.Current(on); t != nil {
			return g.sleep(t)
		}
	}
	return g.s.wait(g.p)
}

func (g *GracePeriod) sleep(t *Task) error {
	_, err := t.sleepFor(sleep{ready: g.Ended, stalls: true})
	if errors.Is(err, ErrDeadlock) {
		return g.s.stalled(g.p, fmt.Sprintf("has not ended after %v", g.s.opts.Stall.Round(time.Millisecond)), nil)
	}
	return err
}
