package sched

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime/debug"
	"sync"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

var errGoexit = errors.New("the task's body ended its goroutine")

// state is where a task is.
type state uint8

const (
	asleep    state = iota // runnable after it left voluntarily; an idle task without its CPU
	waiting                // until its ready reports true
	running                // on its CPU
	preempted              // runnable, and somewhere in the kernel
	user
	dead
)

// event is what a task did to get from running to the state.
func (s state) event() Event {
	switch s {
	case preempted:
		return Preempted
	case asleep, waiting:
		return Switched
	}
	return UserMode
}

// linux is the state as sched_switch tells it, of a task that has left a CPU.
func (s state) linux() int {
	switch s {
	case waiting:
		return 0x1 // TASK_INTERRUPTIBLE
	case dead:
		return 0x10 // EXIT_DEAD
	}
	return 0 // TASK_RUNNING
}

// leaving is what a task's coroutine tells the CPU it leaves.
type leaving struct {
	to   state
	user func(context.Context)
}

// Task is a task with a body in Go, which is kernel code that calls guest
// functions. The methods marked as such are for the body alone.
type Task struct {
	Name string

	s      *Scheduler
	task   *kernel.Task
	idle   bool
	bound  *cpu                   // the only one that it may ever run on; nil: any
	resume func() (leaving, bool) // runs it on the calling CPU
	yield  func(leaving) bool
	done   chan struct{}

	// These belong to the CPU that the task is on, and to s.mu where it is on none.
	regs   emu.Regs
	calls  emu.CallStack
	count  uint64 // guest instructions executed
	inGate int    // gates it is in
	err    error  // what the body returned

	// Guarded by s.mu.
	state  state
	cpu    *cpu // the one it was on last; the body may read it, as it is not moved meanwhile
	pinned *cpu // the only one that may run it
	sleep  sleep

	failure *failure // once it is dead; nil: it has not failed

	seenMu sync.Mutex // guards what follows
	goid   uint64     // its coroutine
	seen   seen
}

// seen is where a task was last time it could be told: at a tick, at a gate.
type seen struct {
	regs emu.Regs
	body bool // in its body's Go code
}

// Spawn makes a task with a task_struct and a kernel stack of its own, and runs
// body in it as soon as a CPU is free. The task is in the kernel, preemptible
// wherever its guest code is, until body returns.
func (s *Scheduler) Spawn(name string, body func(*Task) error) (*Task, error) {
	return s.spawn(name, nil, body)
}

// SpawnOn is Spawn of a task that runs on one CPU only (kthread_bind); EINVAL where
// there is no such CPU.
func (s *Scheduler) SpawnOn(cpu int, name string, body func(*Task) error) (*Task, error) {
	if cpu < 0 || cpu >= len(s.cpus) {
		return nil, fmt.Errorf("spawn %s on CPU %d of %d: %w", name, cpu, len(s.cpus), errno.EINVAL)
	}
	return s.spawn(name, s.cpus[cpu], body)
}

func (s *Scheduler) spawn(name string, bound *cpu, body func(*Task) error) (*Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, closedError("spawn " + name)
	}
	task, err := s.k.NewTask(name, 0)
	if err != nil {
		return nil, err
	}
	t := &Task{Name: name, s: s, task: task, done: make(chan struct{}), seen: seen{body: true}, bound: bound, pinned: bound}
	t.regs.SP, t.regs.SPEL0 = task.Stack.End, task.Addr
	t.resume, _ = iter.Pull(func(yield func(leaving) bool) {
		defer keepStack(name)
		t.start(yield)
		if err := body(t); t.err == nil {
			t.err = err
		}
	})
	s.tasks[t] = struct{}{}
	s.alive++
	s.enqueue(t)
	return t, nil
}

// keepStack lets a panic of a task's body go on with the stack that it comes
// from: the coroutine passes its resumer only the message of the panic.
func keepStack(name string) {
	if p := recover(); p != nil {
		panic(fmt.Sprintf("task %s: %v\n\n%s", name, p, debug.Stack()))
	}
}

// Addr is the task_struct's address.
func (t *Task) Addr() uint64 { return t.task.Addr }

// Wait returns what the body did.
func (t *Task) Wait() error {
	<-t.done
	if t.failure != nil {
		t.s.mu.Lock()
		t.failure.told = true
		t.s.mu.Unlock()
	}
	return t.err
}

// Call is for the body: it calls the guest function at addr, which may be
// preempted between any two instructions where its preempt_count is 0 and
// interrupts are not masked, and may go on on another CPU. When it fails the
// error is a *kernel.RunError; the task then stays usable: its
// registers, interrupt mask, preempt_count and recursion bits are put back.
//
// Result.Count is what the task executed, without what gates call by other
// means. A gate that the task has reached may Call as well, up to
// emu.MaxDepth calls deep; meanwhile the task stays on its CPU.
//
// opts are those of [emu.Caller.Call]; nil is no budget at all. OnStep is called on
// the goroutine of the CPU that the task is on.
func (t *Task) Call(opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error) {
	if opts == nil {
		opts = &emu.CallOptions{Budget: math.MaxUint64}
	}
	frame, err := t.cpu.Calls().Enter(t.s.ctx, addr, opts.Budget)
	if err != nil {
		return emu.Result{}, err
	}
	defer func() { t.cpu.Calls().Leave(frame) }() // perhaps another CPU's by then
	saved := *t.cpu.Regs()
	before, err := t.s.k.SaveTask(t.task.Addr)
	if err != nil {
		return emu.Result{}, err
	}
	restore := t.s.code.unmask
	if t.inGate > 0 { // the caller of the gate may have masked interrupts
		daif, err := t.cpu.exec(t.s.code.masked)
		if err != nil {
			return emu.Result{}, err
		}
		if daif&daifI != 0 {
			restore = t.s.code.mask
		}
	}
	if err := t.cpu.Regs().SetCall(addr, args...); err != nil {
		return emu.Result{}, err
	}
	count := t.count
	exit, err := t.run(frame.Ctx, opts.OnStep)
	regs := t.cpu.Regs() // perhaps another CPU's by now
	res := emu.Result{X0: regs.X[0], Count: t.count - count}
	if err != nil {
		failed := emu.NewCallError(t.cpu.CPU.CPU, addr, res.Count, exit, err)
		_, restored := t.cpu.exec(restore)
		res.X0, err = 0, errors.Join(t.s.k.RunError(t.task.Stack, failed), restored, t.s.k.RestoreTask(before))
	}
	saved.TPIDREL1 = t.cpu.PerCPU
	*regs = saved
	if err == nil && t.inGate == 0 && t.s.opts.Returned != nil {
		t.pin(t.cpu)
		err = t.s.opts.Returned(frame.Ctx, t.cpu.CPU.CPU)
		t.pin(t.bound)
	}
	t.note(regs)
	return res, err
}

// run executes guest code until it returns to Call. A gate takes one of the
// slice, as an instruction does: guest code can go from gate to gate without any.
func (t *Task) run(ctx context.Context, onStep func(emu.CPU, *emu.Regs)) (emu.Exit, error) {
	if t.cpu.resched.Load() {
		if err := t.cpu.tick(t); err != nil {
			return emu.Exit{}, err
		}
	}
	for {
		c := t.cpu
		exit, err := t.execute(ctx, onStep)
		if err != nil {
			return exit, err
		}
		if exit.Reason == emu.ExitGate {
			c.left -= min(c.left, 1)
		}
		// The result of a step does not show that it led to a gate.
		if exit.Reason == emu.ExitBudget && c.Calls().Left() == 0 && !emu.InGates(exit.PC) {
			return exit, emu.OutOfBudget(exit.PC)
		}
		returned, err := t.serve(c, exit)
		if err != nil || returned {
			return exit, err
		}
		if c = t.cpu; c.left == 0 || c.resched.Load() && exit.Reason == emu.ExitGate {
			if err := c.tick(t); err != nil {
				return exit, err
			}
		}
	}
}

// execute goes on with the task: to the end of its slice or of its budget, or by
// one instruction where each is to be told. Both have less left by what was
// executed.
func (t *Task) execute(ctx context.Context, onStep func(emu.CPU, *emu.Regs)) (exit emu.Exit, err error) {
	c := t.cpu
	most, count := min(c.left, c.Calls().Left()), c.Count()
	spend := func() {
		ran := c.Count() - count
		t.count += ran
		c.left -= min(c.left, ran)
		c.Calls().Spend(ran)
	}
	if onStep == nil || most == 0 {
		exit, err = c.Run(ctx, most)
		spend()
		return exit, err
	}
	if err := ctx.Err(); err != nil {
		return emu.Exit{PC: c.Regs().PC}, err
	}
	before := *c.Regs()
	exit, err = c.Step()
	spend() // not what onStep calls, which has been taken by then
	if err == nil && exit.Reason == emu.ExitBudget {
		onStep(c.CPU.CPU, &before)
	}
	return exit, err
}

// serve does what a CPU that stopped asks for.
func (t *Task) serve(c *cpu, exit emu.Exit) (returned bool, err error) {
	if exit.Reason != emu.ExitGate || exit.PC == emu.ReturnGate {
		return t.s.caller.Serve(c.CPU.CPU, exit)
	}
	t.note(c.Regs())
	if exit.PC == t.s.code.schedule {
		if err := c.Calls().Charge(exit.PC); err != nil {
			return false, err
		}
		regs := c.Regs()
		regs.X[0], regs.PC = 0, regs.X[30]
		return false, t.Schedule()
	}
	// The CPU that the gate was passed has to stay the task's.
	if t.inGate++; t.inGate == 1 {
		t.pin(c)
	}
	defer func() {
		if t.inGate--; t.inGate == 0 {
			t.pin(t.bound)
		}
	}()
	return t.s.caller.Serve(c.CPU.CPU, exit)
}

func (t *Task) pin(c *cpu) {
	t.s.mu.Lock()
	t.pinned = c
	t.s.mu.Unlock()
}

// Schedule is for the body: the task leaves its CPU voluntarily and waits
// for its turn. ErrAtomic where it can't; the context's error once that has ended.
func (t *Task) Schedule() error { return t.leaveFor(leaving{to: asleep}) }

// User is for the body: the task goes to user mode and comes back when stay
// returns, which runs beside the CPUs on a goroutine of its own. stay is
// told by its context when the scheduler is closed. ErrAtomic where the task
// can't leave the kernel; the context's error once that has ended.
func (t *Task) User(stay func(ctx context.Context)) error {
	return t.leaveFor(leaving{to: user, user: stay})
}

func (t *Task) leaveFor(why leaving) error {
	ok, err := t.cpu.preemptible(t)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s: %w", t.Name, ErrAtomic)
	}
	t.leave(why)
	return t.s.ctx.Err()
}

// leave gives the CPU back, and returns when the task has one again.
func (t *Task) leave(why leaving) {
	t.regs, t.calls = *t.cpu.Regs(), *t.cpu.Calls()
	t.yield(why)
}

func (t *Task) start(yield func(leaving) bool) {
	t.yield = yield
	t.seenMu.Lock()
	t.goid = goroutine()
	t.seenMu.Unlock()
}

// note remembers where the task is.
func (t *Task) note(regs *emu.Regs) {
	t.seenMu.Lock()
	t.seen = seen{regs: *regs, body: regs.PC == 0}
	t.seenMu.Unlock()
}

func (t *Task) fail(err error) { t.err = errors.Join(t.err, err) }

// reader is the task as the rules see it; s.mu is held. How many times a
// running task has disabled preemption only its own CPU can tell.
func (t *Task) reader() Reader {
	return Reader{
		Running:     t.state == running,
		Kernel:      t.state == running || t.state == preempted,
		Idle:        t.idle,
		Preemptible: t.state != running,
		Locked:      t.locked(),
	}
}

// locked reports whether the task has called rcu_read_lock of a kernel with CONFIG_PREEMPT_RCU, and has not unlocked.
func (t *Task) locked() bool {
	off := t.s.k.Layout.Task.RCULocked
	if off == kernelimage.Absent {
		return false
	}
	n, err := t.s.k.Mem.Load32(t.task.Addr + uint64(off))
	return err == nil && n != 0
}
