package board

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"callops/emu"
	"callops/internal/errno"
)

// Task is a process of the kernel's in whose context the host makes its calls, as it does in the first process'. It has no program: it
// sleeps (TASK_IDLE) until it is entered. Tasks share the first process' open files and folders.
type Task struct {
	m    *Machine
	task uint64 // struct task_struct
	sp   uint64 // while it makes no call
	pid  uint64
}

const (
	idleJiffies = restJiffies // in which a task that sleeps looks again whether it is entered, should it have missed the wake-up

	cloneFS    = 0x200
	cloneFiles = 0x400
	sigChild   = 17
	sigIgnore  = 1

	lastPIDFile = "/proc/sys/kernel/ns_last_pid"
	maxPIDFile  = "/proc/sys/kernel/pid_max"
	pidMaxLimit = 4 << 20 // PID_MAX_LIMIT (include/linux/threads.h)
)

// tasks are those that a machine has besides the first process.
type tasks struct {
	first   *Task
	current *Task            // in whose context calls are made
	all     map[uint64]*Task // by task_struct
	rest    uint64           // PC of one that makes no call: calls return there
	sleep   uint64           // schedule_timeout_idle
}

func (t *tasks) clone() *tasks {
	if t == nil {
		return nil
	}
	c := *t
	c.all = maps.Clone(t.all)
	return &c
}

// FirstTask returns the first process. From then on the machine makes no snapshots.
func (m *Machine) FirstTask(ctx context.Context) (*Task, error) {
	if m.tasks != nil {
		return m.tasks.first, nil
	}
	if m.err != nil {
		return nil, m.err
	}
	sleep, err := m.Symbol("schedule_timeout_idle")
	if err != nil {
		return nil, err
	}
	// Tasks that exit are not waited for. The others inherit it.
	if _, err := m.Call(ctx, "kernel_sigaction", sigChild, sigIgnore); err != nil {
		return nil, err
	}
	if err := m.WriteFile(ctx, maxPIDFile, 0, strconv.Itoa(pidMaxLimit)); err != nil {
		return nil, err
	}
	r := m.init.Regs()
	first := &Task{m, r.SPEL0, r.SP, 1}
	m.tasks = &tasks{first: first, current: first, all: map[uint64]*Task{first.task: first}, rest: r.PC, sleep: sleep}
	return first, nil
}

// Fork has the task fork, by user_mode_thread and so kernel_clone, and returns the child, which has that number where no other task has it. Its name is
// the parent's.
func (t *Task) Fork(ctx context.Context, pid int) (*Task, error) {
	child, err := t.fork(ctx, pid)
	if err != nil {
		return nil, fmt.Errorf("fork of task %d: %w", pid, err)
	}
	return child, nil
}

func (t *Task) fork(ctx context.Context, pid int) (*Task, error) {
	if err := t.m.tasks.first.Enter(ctx); err != nil {
		return nil, err
	}
	if err := t.m.WriteFile(ctx, lastPIDFile, 0, strconv.Itoa(pid-1)); err != nil {
		return nil, err
	}
	if err := t.Enter(ctx); err != nil {
		return nil, err
	}
	got, err := t.m.callInt(ctx, "user_mode_thread", t.m.tasks.rest, 0, cloneFS|cloneFiles|sigChild)
	if err != nil {
		return nil, err
	}
	task, err := t.m.Call(ctx, "find_task_by_vpid", uint64(got))
	if err != nil {
		return nil, err
	}
	if task == 0 {
		return nil, fmt.Errorf("task %d is gone: %w", got, errno.EINVAL)
	}
	// It may have run, and be known already.
	child, ok := t.m.tasks.all[task]
	if !ok {
		child = &Task{m: t.m, task: task}
		t.m.tasks.all[task] = child
	}
	child.pid = uint64(got)
	return child, nil
}

// Enter has calls be made in the task's context from now on.
func (t *Task) Enter(ctx context.Context) error {
	m := t.m
	switch {
	case m.tasks.all[t.task] != t:
		return fmt.Errorf("the task has exited: %w", errno.EINVAL)
	case m.tasks.current == t:
		return nil
	}
	if _, err := m.Call(ctx, "wake_up_process", t.task); err != nil {
		return err
	}
	m.tasks.current.suspend(m.init)
	return t.resume(ctx, "switch to a task")
}

// resume runs the kernel until the task is there.
func (t *Task) resume(ctx context.Context, why string) error {
	m := t.m
	m.tasks.current = t
	m.calling, m.task = true, t.task
	err := m.run(ctx, emu.DefaultBudget)
	m.calling = false
	if err != nil {
		m.err = m.runError(why, err)
	}
	return m.err
}

// suspend has the task, which makes no call, sleep.
func (t *Task) suspend(c *cpu) {
	r := c.Regs()
	r.SP, r.PC, r.X[0], r.X[30] = t.sp, t.m.tasks.sleep, idleJiffies, t.m.tasks.rest
}

// returned is a task whose call has returned, or its sleep, or one that begins.
func (m *Machine) returned(c *cpu) {
	if m.tasks == nil {
		m.stopped, m.init = true, c
		return
	}
	r := c.Regs()
	t, ok := m.tasks.all[r.SPEL0]
	if !ok {
		t = &Task{m: m, task: r.SPEL0}
		m.tasks.all[t.task] = t
	}
	if t.sp == 0 {
		t.sp = r.SP
	}
	if t != m.tasks.current {
		t.suspend(c)
		return
	}
	m.stopped, m.init = true, c
	r.PC = m.tasks.rest
}

// SetName gives the task another name, as a program does that it executes.
func (t *Task) SetName(ctx context.Context, name string) error {
	if err := t.Enter(ctx); err != nil {
		return err
	}
	addrs, err := t.m.strings(name[:min(len(name), maxTaskName)])
	if err == nil {
		_, err = t.m.Call(ctx, "__set_task_comm", t.task, addrs[0], 1)
	}
	return err
}

// Exit has the task exit, with a status as wait has it.
func (t *Task) Exit(ctx context.Context, status int) error {
	m := t.m
	if t == m.tasks.first {
		return fmt.Errorf("exit of the first process: %w", errno.EPERM)
	}
	exit, err := m.Symbol("do_exit")
	if err != nil {
		return err
	}
	if err := t.Enter(ctx); err != nil {
		return err
	}
	if _, err := m.Call(ctx, "wake_up_process", m.tasks.first.task); err != nil {
		return err
	}
	if _, err := m.prepareCall("do_exit", exit, uint64(status)); err != nil {
		return err
	}
	delete(m.tasks.all, t.task)
	if err := m.tasks.first.resume(ctx, "do_exit"); err != nil {
		return err
	}
	// The first process may have preempted it.
	for pause := shortestWait; ; pause = min(2*pause, longestWait) {
		if left, err := m.Call(ctx, "find_task_by_vpid", t.pid); err != nil || left != t.task {
			return err
		}
		if err := m.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}
