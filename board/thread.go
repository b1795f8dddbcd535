package board

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"callops/emu"
	"callops/internal/errno"
)

// GuestCall is a call that guest code makes: of the kernel's function by its name, or of the code at Addr where Func is empty.
type GuestCall struct {
	Func string
	Addr uint64
	Args []uint64 // up to [emu.MaxArgs]
}

const (
	maxCalls     = 64         // of one thread's body
	maxTaskName  = 15         // TASK_COMM_LEN, without the NUL
	restJiffies  = 250        // in which a thread that has made its rounds looks again whether to stop, should it have missed the wake-up
	anyNode      = ^uint64(0) // NUMA_NO_NODE
	sleepState   = 2          // TASK_UNINTERRUPTIBLE
	maxSleepTime = time.Hour

	shortestWait = 10 * time.Microsecond
	longestWait  = 10 * time.Millisecond
)

// ThreadOptions say how a thread runs its calls.
type ThreadOptions struct {
	CPU    int    // that the thread is bound to
	Rounds uint64 // how often it makes its calls, before it waits for its stop; 0: until it is stopped
	Asleep bool   // it does not begin before [Thread.Wake]
}

// Thread is a kernel thread that makes calls, in turn and again. It runs while the kernel does: within [Machine.Call] and all that makes one,
// such as [Machine.Sleep].
type Thread struct {
	m    *Machine
	name string
	task uint64 // struct task_struct
	code uint64
	data uint64 // rounds made, then the calls' last results
	n    int    // calls
	end  uint64 // rounds to make; 0: no end
}

// Thread starts a kernel thread that makes the calls by the kernel's own kthread_create_on_node, kthread_bind and wake_up_process. Between two rounds
// it calls schedule, a quiescent state for RCU and RCU-tasks.
func (m *Machine) Thread(ctx context.Context, name string, opts *ThreadOptions, calls ...GuestCall) (*Thread, error) {
	if opts == nil {
		opts = &ThreadOptions{}
	}
	t := &Thread{m: m, name: name, n: len(calls), end: opts.Rounds}
	if err := t.start(ctx, opts, calls); err != nil {
		return nil, fmt.Errorf("thread %s: %w", name, err)
	}
	return t, nil
}

func (t *Thread) start(ctx context.Context, opts *ThreadOptions, calls []GuestCall) (err error) {
	m := t.m
	switch {
	case t.name == "" || len(t.name) > maxTaskName || strings.Contains(t.name, "\x00"):
		return fmt.Errorf("a name of 1 to %d bytes is wanted: %w", maxTaskName, errno.EINVAL)
	case opts.CPU < 0 || opts.CPU >= len(m.cpus):
		return fmt.Errorf("no CPU %d, there are %d: %w", opts.CPU, len(m.cpus), errno.EINVAL)
	case len(calls) == 0 || len(calls) > maxCalls:
		return fmt.Errorf("%d calls, 1 to %d are wanted: %w", len(calls), maxCalls, errno.EINVAL)
	}
	body := threadBody{rounds: opts.Rounds, calls: make([]GuestCall, len(calls)), helpers: make(map[string]uint64)}
	for i, c := range calls {
		if c.Func != "" {
			if c.Addr, err = m.Symbol(c.Func); err != nil {
				return err
			}
		}
		if len(c.Args) > emu.MaxArgs {
			return fmt.Errorf("call of %s with %d arguments, up to %d are possible: %w", m.where(c.Addr), len(c.Args), emu.MaxArgs, errno.E2BIG)
		}
		body.calls[i] = c
	}
	for _, fn := range []string{"kthread_should_stop", "schedule", "schedule_timeout_interruptible"} {
		if body.helpers[fn], err = m.Symbol(fn); err != nil {
			return err
		}
	}
	if t.data, err = m.Alloc(ctx, 8*uint64(1+len(calls))); err != nil {
		return err
	}
	p, err := m.PlaceCode(ctx, "thread:"+t.name, body.assemble)
	if err != nil {
		return errors.Join(err, m.Free(ctx, t.data))
	}
	t.code = p.Base
	names, err := m.strings("%s", t.name)
	if err == nil {
		t.task, err = m.callPointer(ctx, "kthread_create_on_node", t.code, t.data, anyNode, names[0], names[1])
	}
	if err != nil {
		return errors.Join(err, t.free(ctx))
	}
	if _, err = m.Call(ctx, "kthread_bind", t.task, uint64(opts.CPU)); err == nil && !opts.Asleep {
		err = t.Wake(ctx)
	}
	return err
}

// stopped is the error of one that is no more.
func (t *Thread) stopped() error {
	if t.task == 0 {
		return fmt.Errorf("thread %s has been stopped: %w", t.name, errno.EINVAL)
	}
	return nil
}

// Wake has a thread begin that is asleep.
func (t *Thread) Wake(ctx context.Context) error {
	if err := t.stopped(); err != nil {
		return err
	}
	_, err := t.m.Call(ctx, "wake_up_process", t.task)
	return err
}

// Task returns the address of the thread's task_struct.
func (t *Thread) Task() uint64 { return t.task }

// In returns the thread as it is in a machine that was forked from the thread's own.
func (t *Thread) In(m *Machine) *Thread {
	in := *t
	in.m = m
	return &in
}

// Rounds returns how often the thread has made all of its calls.
func (t *Thread) Rounds() (uint64, error) {
	if err := t.stopped(); err != nil {
		return 0, err
	}
	w, err := t.m.load64(t.data, 1)
	if err != nil {
		return 0, fmt.Errorf("thread %s: %w", t.name, err)
	}
	return w[0], nil
}

// Results returns what each of the calls returned last; 0 of one that was not made yet.
func (t *Thread) Results() ([]uint64, error) {
	if err := t.stopped(); err != nil {
		return nil, err
	}
	w, err := t.m.load64(t.data, 1+t.n)
	if err != nil {
		return nil, fmt.Errorf("thread %s: %w", t.name, err)
	}
	return w[1:], nil
}

// Wait lets the kernel run until the thread has made its rounds. EINVAL of one that does not end by itself.
func (t *Thread) Wait(ctx context.Context) error {
	if t.end == 0 {
		return fmt.Errorf("thread %s: it runs until it is stopped: %w", t.name, errno.EINVAL)
	}
	for pause := shortestWait; ; pause = min(2*pause, longestWait) {
		n, err := t.Rounds()
		if err != nil || n >= t.end {
			return err
		}
		if err := t.m.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// Stop ends the thread after the round that it is in, by kthread_stop, and frees what it consists of.
func (t *Thread) Stop(ctx context.Context) error {
	if err := t.stopped(); err != nil {
		return err
	}
	// One that never began returns -EINTR.
	if _, err := t.m.callInt(ctx, "kthread_stop", t.task); err != nil && !errors.Is(err, errno.EINTR) {
		return fmt.Errorf("thread %s: %w", t.name, err)
	}
	t.task = 0
	return t.free(ctx)
}

func (t *Thread) free(ctx context.Context) error {
	return errors.Join(t.m.FreeCode(ctx, t.code), t.m.Free(ctx, t.data))
}

// Sleep lets the kernel run for a time: the first process sleeps by usleep_range_state, in microseconds. A kernel that does not preempt wakes it when
// a thread on its CPU lets go of that.
func (m *Machine) Sleep(ctx context.Context, d time.Duration) error {
	if d < 0 || d > maxSleepTime {
		return fmt.Errorf("sleep of %s: %w", d, errno.EINVAL)
	}
	us := uint64((d + time.Microsecond - 1) / time.Microsecond)
	_, err := m.Call(ctx, "usleep_range_state", us, us, sleepState)
	return err
}

// Pin moves the first process, and with it what the host calls, to a CPU, by sched_setaffinity.
func (m *Machine) Pin(ctx context.Context, cpu int) error {
	if cpu < 0 || cpu >= len(m.cpus) {
		return fmt.Errorf("no CPU %d, there are %d: %w", cpu, len(m.cpus), errno.EINVAL)
	}
	mask := words(1 << cpu)
	copy(m.window(), mask)
	_, err := m.syscall(ctx, "sched_setaffinity", 0, uint64(len(mask)), windowBase)
	return err
}
