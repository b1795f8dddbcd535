package sched

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"callops/emu"
	"callops/kernel"
)

var background = context.Background()

// retry is how many instructions at most pass until a CPU that could not be
// preempted is looked at again: there is no preempt_enable that would tell.
const retry = 64

// cpu is a CPU and the goroutine that drives it: tasks' code, Go and guest,
// runs there as a coroutine.
type cpu struct {
	*kernel.CPU
	s      *Scheduler
	id     int
	rnd    *rand.Rand
	before emu.Regs // restored at the end
	idle   *Task    // it has the task that Boot made
	last   *Task    // whose exclusive monitor this is
	why    state    // for which last has left
	left   uint64   // of the slice
	ended  bool     // an event here was the end of a grace period
	task   *Task    // that is on it; nil: its idle task. Its goroutine's
	ipis   ipis

	ticks   atomic.Uint64 // how often it was between two instructions of a task, or before the first
	resched atomic.Bool   // go through the scheduler when that can be
}

func (s *Scheduler) newCPU(id int) (*cpu, error) {
	k := s.k.CPUs[id]
	c := &cpu{
		CPU: k, s: s, id: id,
		rnd:    rand.New(rand.NewPCG(s.opts.Seed, uint64(id))),
		before: *k.Regs(),
	}
	c.idle = &Task{
		Name: "swapper", s: s, idle: true, cpu: c, regs: *k.Regs(), state: asleep,
		task: &kernel.Task{Addr: k.Task, Stack: k.Stack},
	}
	s.tasks[c.idle] = struct{}{}
	c.newSlice(s.opts.Slice)
	_, err := c.exec(s.code.unmask)
	return c, err
}

// giveBack undoes what the scheduler changed.
func (c *cpu) giveBack() error {
	c.load(c.idle)
	_, err := c.exec(c.s.code.mask)
	*c.Regs() = c.before
	return err
}

// loop runs one task after another, until the scheduler is closed and the last
// has ended.
func (c *cpu) loop() {
	var t *Task
	// A body that ends its goroutine (testing.T.FailNow) ends this one: the
	// coroutine does so to its resumer. The CPU goes on in another.
	defer func() {
		if p := recover(); p != nil {
			panic(p) // the end of the program, not of the task
		}
		if t != nil {
			t.err = errors.Join(t.err, errGoexit)
			c.switchFrom(t, leaving{to: dead})
			c.s.wg.Go(c.loop)
		}
	}()
	for t = c.pick(); t != nil; t = c.pick() {
		c.yield()
		c.load(t)
		why, ok := t.resume()
		if !ok {
			why = leaving{to: dead}
		}
		c.switchFrom(t, why)
	}
}

// pick waits until there is a task for this CPU; nil: there will be none.
func (c *cpu) pick() *Task {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		c.resched.Store(false)
		if c.ipis.pending.Load() {
			s.mu.Unlock()
			c.interruptIdle()
			s.mu.Lock()
			continue
		}
		s.rouse()
		if t := s.take(c); t != nil {
			t.cpu, t.state = c, running
			return t
		}
		if s.closed && s.alive == 0 {
			return nil
		}
		if s.idle++; s.idle == len(s.cpus) && s.expire() {
			s.idle--
			continue
		}
		c.idle.state = running
		s.wake.Wait()
		c.idle.state = asleep
		s.idle--
		s.happened(c.idle, Switched)
	}
}

// load is __switch_to: it gives the CPU a task's registers.
func (c *cpu) load(t *Task) {
	*c.Regs(), *c.Calls() = t.regs, t.calls
	c.Regs().TPIDREL1 = c.PerCPU
	c.Task, c.Stack, c.StackTop = t.task.Addr, t.task.Stack, t.task.Stack.End
	if c.last != t && !t.idle {
		// The last task's LDXR must not let this one's STXR pass: what the
		// return from the interrupt clears.
		if _, err := c.exec(c.s.code.clearMonitor); err != nil {
			t.fail(err)
		}
		t.fail(c.s.setCPU(t, c.id))
		if c.s.opts.Switched != nil {
			c.s.opts.Switched(c.CPU.CPU, t.task.Addr, c.why.linux())
		}
	}
	c.last = t
	if c.task = t; t.idle {
		c.task = nil
	}
	c.newSlice(c.s.opts.Slice)
}

// switchFrom takes a task off the CPU. It may be on another before this
// returns.
func (c *cpu) switchFrom(t *Task, why leaving) {
	s := c.s
	if why.to == dead {
		// Whatever it left masked is no business of the next one.
		if _, err := c.exec(s.code.unmask); err != nil {
			t.fail(err)
		}
	}
	c.why = why.to
	s.mu.Lock()
	t.state = why.to
	s.happened(t, why.to.event())
	switch why.to {
	case dead:
		s.end(t)
	case user:
		s.users++
		go s.stay(t, why.user)
	case waiting:
		s.fallAsleep(t)
	default:
		s.enqueue(t)
	}
	s.rouse()
	s.mu.Unlock()
	c.yield()
}

// stay runs a task's stay in user mode, which takes no CPU: nothing is executed
// there that the kernel could see.
func (s *Scheduler) stay(t *Task, fn func(context.Context)) {
	defer func() {
		s.mu.Lock()
		s.users--
		s.enqueue(t)
		s.mu.Unlock()
	}()
	fn(s.ctx)
}

// yield lets waiters for a grace period that has ended here go on. The
// host has made it the next on this thread, but takes a thread away from a
// goroutine that is busy only after 10 ms.
func (c *cpu) yield() {
	if c.ended {
		c.ended = false
		runtime.Gosched()
	}
}

func (c *cpu) newSlice(most uint64) { c.left = 1 + c.rnd.Uint64N(most) }

// tick is the interrupt that may take the CPU away from its task t, which is
// between two guest instructions or in its body's Go code.
func (c *cpu) tick(t *Task) error {
	s := c.s
	c.ticks.Add(1)
	t.note(c.Regs())
	if err := c.interrupt(); err != nil {
		return err
	}
	if s.asleep.Load() > 0 {
		s.Woken()
	}
	preemptible, err := c.preemptible(t)
	if err != nil {
		return err
	}
	if !preemptible {
		c.newSlice(min(s.opts.Slice, retry))
		return nil
	}
	c.newSlice(s.opts.Slice)
	if s.awaited.Load() > 0 {
		s.mu.Lock()
		s.happened(t, Preemptible)
		s.mu.Unlock()
		c.yield()
	}
	if c.resched.Load() || s.queued.Load() > 0 {
		t.leave(leaving{to: preempted})
	}
	return nil
}

// preemptible is preemptible() of include/linux/preempt.h.
func (c *cpu) preemptible(t *Task) (bool, error) {
	n, err := c.s.preemptCount(t.task.Addr)
	if err != nil || n != 0 {
		return false, err
	}
	daif, err := c.exec(c.s.code.masked)
	return daif&daifI == 0, err
}
