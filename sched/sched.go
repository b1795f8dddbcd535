package sched

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// What Options default to.
const (
	defaultSlice = 20_000
	defaultStall = 10 * time.Second
)

// ErrAtomic is schedule called where a task can't leave its CPU: with
// preemption or interrupts disabled (the kernel's "BUG: scheduling while
// atomic").
var ErrAtomic = errors.New("scheduling while atomic")

// Options control preemption; the zero value is usable.
type Options struct {
	// Slice is how many instructions at most a task executes between two
	// points where it may be preempted; each time it is a random number from 1
	// on, so any two instructions may have one between them. 20,000 when 0.
	// With only a few, no exclusive load and store get through together.
	Slice uint64

	// Seed chooses these numbers. Which CPU comes first is the host's affair.
	Seed uint64

	// Stall is after what time a grace period is given up that does not end, and a sleep
	// that nothing ends; 10 s when 0.
	Stall time.Duration

	// Switched is called when a CPU has taken another task than the one before, on that CPU, before the task executes
	// anything. state is why the one before had left: 0 it is runnable (TASK_RUNNING), or TASK_INTERRUPTIBLE or EXIT_DEAD.
	// nil: nothing is.
	Switched func(on emu.CPU, task uint64, state int)

	// Returned is called each time that a task has returned from a [Task.Call] which is not
	// within another, on its CPU. Its error is that of the call. nil: nothing is.
	Returned func(ctx context.Context, on emu.CPU) error
}

// Scheduler runs tasks on a kernel's CPUs.
type Scheduler struct {
	k      *kernel.Kernel
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	caller *emu.Caller
	code   code
	cpus   []*cpu
	wg     sync.WaitGroup // the CPUs' goroutines

	closing sync.Once
	release func() // of the CPUs
	unhook  func() bool

	awaited atomic.Int32 // len(periods)
	queued  atomic.Int32 // len(queue)
	asleep  atomic.Int32 // len(sleeping)

	mu       sync.Mutex // the run queue's lock: guards what follows
	wake     *sync.Cond // something has changed for an idle CPU
	ended    *sync.Cond // a task has ended
	queue    []*Task    // runnable, without a CPU
	sleeping []*Task    // waiting
	users    int        // tasks in user mode
	idle     int        // CPUs without a task
	tasks    map[*Task]struct{}
	alive    int // of them, without the idle tasks
	failures []*failure
	periods  []*gracePeriod
	pending  []callback
	closed   bool
}

// New takes over the CPUs of k until Close, and starts them, idle. When ctx
// ends, so does every task's next or present Call, with ctx's error.
func New(ctx context.Context, k *kernel.Kernel, opts *Options) (*Scheduler, error) {
	if k == nil {
		return nil, fmt.Errorf("scheduler without a kernel: %w", errno.EINVAL)
	}
	s := &Scheduler{k: k, caller: k.Caller(), tasks: map[*Task]struct{}{}}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Slice == 0 {
		s.opts.Slice = defaultSlice
	}
	if s.opts.Stall == 0 {
		s.opts.Stall = defaultStall
	}
	if k.Layout.Task.PreemptCount == kernelimage.Absent {
		return nil, fmt.Errorf("scheduler: this kernel's tasks have no preempt_count: %w", errors.ErrUnsupported)
	}
	s.wake, s.ended = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	if err := s.code.load(k); err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	release, err := k.Claim()
	if err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	s.release = release
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.unhook = context.AfterFunc(s.ctx, s.Woken) // tasks that sleep
	for id := range k.CPUs {
		c, err := s.newCPU(id)
		if err != nil {
			s.cancel()
			s.unhook()
			release()
			return nil, fmt.Errorf("scheduler: CPU %d: %w", id, err)
		}
		s.cpus = append(s.cpus, c)
	}
	for _, c := range s.cpus {
		s.wg.Go(c.loop)
	}
	return s, nil
}

// Gate is where guest code calls schedule: the task leaves its CPU of its own
// will, and returns from there when it has one again.
func (s *Scheduler) Gate() uint64 { return s.code.schedule }

// failure is what a task, or an idle CPU, failed with.
type failure struct {
	error
	told bool // by Wait
}

// fail notes a failure; s.mu is held.
func (s *Scheduler) fail(err error) *failure {
	f := &failure{error: err}
	s.failures = append(s.failures, f)
	return f
}

// Wait returns when all tasks have ended, with their errors.
func (s *Scheduler) Wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.alive > 0 {
		s.ended.Wait()
	}
	var errs []error
	for _, f := range s.failures {
		f.told = true
		errs = append(errs, f.error)
	}
	return errors.Join(errs...)
}

// Close ends the calls of all tasks, waits until the tasks have ended, stops the
// CPUs and gives them back as they were. What callbacks are still pending run.
// The errors are those of tasks that failed otherwise than by Close, and that no Wait has
// returned. A second Close also waits, and returns none of them.
func (s *Scheduler) Close() (err error) {
	s.closing.Do(func() { err = s.close() })
	return err
}

func (s *Scheduler) close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	s.wake.Broadcast()
	s.mu.Unlock()
	s.wg.Wait()
	s.unhook()
	s.runRipe()
	var errs []error
	for _, c := range s.cpus {
		errs = append(errs, c.giveBack())
	}
	s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.failures {
		if !f.told && !errors.Is(f.error, context.Canceled) {
			errs = append(errs, f.error)
		}
	}
	return errors.Join(errs...)
}

// closedError is the error of an operation on a closed scheduler.
func closedError(what string) error { return fmt.Errorf("%s: the scheduler: %w", what, os.ErrClosed) }

// enqueue makes a task runnable; s.mu is held.
func (s *Scheduler) enqueue(t *Task) {
	s.queue = append(s.queue, t)
	s.queued.Store(int32(len(s.queue)))
	s.wake.Broadcast()
}

// take returns the next task for a CPU, or nil; s.mu is held.
func (s *Scheduler) take(c *cpu) *Task {
	for i, t := range s.queue {
		if t.pinned == nil || t.pinned == c {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			s.queued.Store(int32(len(s.queue)))
			return t
		}
	}
	return nil
}

// end buries a task; s.mu is held.
func (s *Scheduler) end(t *Task) {
	delete(s.tasks, t)
	s.alive--
	s.k.FreeTask(t.task)
	if t.err != nil {
		t.failure = s.fail(fmt.Errorf("task %s: %w", t.Name, t.err))
	}
	close(t.done)
	s.ended.Broadcast()
	s.wake.Broadcast()
}

// preemptCount is the lower half of thread_info.preempt.
func (s *Scheduler) preemptCount(task uint64) (uint32, error) {
	return s.k.Mem.Load32(task + uint64(s.k.Layout.Task.PreemptCount))
}

// setCPU stores a task's CPU in its task_struct.
func (s *Scheduler) setCPU(t *Task, id int) error {
	off := s.k.Layout.Task.CPU
	if off == kernelimage.Absent {
		return nil
	}
	return s.k.Mem.Store32(t.task.Addr+uint64(off), uint32(id))
}
