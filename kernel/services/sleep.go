package services

import (
	"errors"
	"math"

	"callops/emu"
)

// Tasks are the tasks beside the one that is on a CPU.
type Tasks interface {
	// Switch takes the task on cpu off it, voluntarily. The task stays runnable, and Switch
	// returns when it has its CPU again.
	Switch(cpu emu.CPU) error

	// Sleep takes the task on cpu off it, voluntarily, until ready reports true, or to the time
	// until, where that is not 0 and all other tasks sleep, or are to be woken later. expired
	// reports the latter. ready may be called at any time, on any goroutine, and only
	// looks at memory. [ErrDeadlock] where nothing can happen that wakes the task.
	Sleep(cpu emu.CPU, ready func() bool, until uint64) (expired bool, err error)

	// Spin returns once ready reports true. The task keeps its CPU if it is not preemptible.
	// [ErrDeadlock] as above.
	Spin(cpu emu.CPU, ready func() bool) error

	// Woken says that a task's ready may have become true.
	Woken()
}

// ErrDeadlock is what [Tasks] return for a task that nothing can wake. It becomes a
// [*DeadlockError].
var ErrDeadlock = errors.New("nothing that can run wakes it")

// alone are the tasks beside one that there is none beside.
type alone struct{}

func (alone) Switch(emu.CPU) error { return nil }
func (alone) Woken()               {}

func (alone) Sleep(_ emu.CPU, ready func() bool, until uint64) (bool, error) {
	switch {
	case ready():
		return false, nil
	case until != 0:
		return true, nil
	}
	return false, ErrDeadlock
}

func (alone) Spin(_ emu.CPU, ready func() bool) error {
	if ready() {
		return nil
	}
	return ErrDeadlock
}

// sleep has the task sleep until ready. It runs callbacks before, and as they ripen.
func (c *request) sleep(ready func() bool, until uint64, lock *Lock) (expired bool, err error) {
	for {
		if err := c.s.RunCallbacks(background, c.cpu); err != nil {
			return false, err
		}
		if ready() {
			return false, nil
		}
		expired, err := c.s.opts.Tasks.Sleep(c.cpu, func() bool { return ready() || c.s.graces.isRipe() }, until)
		switch {
		case errors.Is(err, ErrDeadlock):
			return false, c.deadlock(lock)
		case err != nil:
			return false, err
		case expired && !ready():
			c.s.clock.advance(until)
			return true, nil
		}
	}
}

// task is the task_struct of the task that called.
func (c *request) task() uint64 { return c.cpu.Regs().SPEL0 }

// state is where a task's __state is; 0 where the image does not tell.
func (s *Services) state(task uint64) uint64 {
	if off := s.k.Layout.Task.State; off > 0 {
		return task + uint64(off)
	}
	return 0
}

// runnable reports whether a task is TASK_RUNNING.
func (s *Services) runnable(task uint64) bool {
	at := s.state(task)
	if at == 0 {
		return true
	}
	v, err := s.k.Mem.Load32(at)
	return err == nil && v == 0
}

func (s *Services) setRunning(task uint64) error {
	at := s.state(task)
	if at == 0 {
		return nil
	}
	return s.k.Mem.Store32(at, 0)
}

// schedule is schedule(): a task that is TASK_RUNNING stays runnable, another one sleeps
// until it is woken.
func schedule(c *request) (uint64, error) {
	_, err := c.schedule(0)
	return 0, err
}

func (c *request) schedule(until uint64) (expired bool, err error) {
	if err := c.maySleep(); err != nil {
		return false, err
	}
	task := c.task()
	if c.s.runnable(task) {
		if err := c.s.RunCallbacks(background, c.cpu); err != nil {
			return false, err
		}
		return false, c.s.opts.Tasks.Switch(c.cpu)
	}
	if expired, err = c.sleep(func() bool { return c.s.runnable(task) }, until, nil); err != nil || !expired {
		return false, err
	}
	return true, c.s.setRunning(task) // process_timeout
}

// yield is yield(), and cond_resched, which reports whether there was another task.
func yield(c *request) (uint64, error) {
	if err := c.s.RunCallbacks(background, c.cpu); err != nil {
		return 0, err
	}
	return 0, c.s.opts.Tasks.Switch(c.cpu)
}

// condResched is __cond_resched(). With no tasks beside, the kernel's own finds that there is no
// need, in fewer instructions.
func condResched(s *Services, r Replaced) emu.GateFunc {
	if _, ok := s.opts.Tasks.(alone); ok {
		return nil
	}
	return serving(func(c *request) (uint64, error) {
		if err := c.maySleep(); err != nil {
			return 0, nil //nolint:nilerr // should_resched(0)
		}
		return yield(c)
	})(s, r)
}

// wake is try_to_wake_up(task, state, flags), in which wake_up_process, wake queues and wait queues
// end: it reports whether the task was in one of the states.
func wake(c *request) (uint64, error) {
	at := c.s.state(c.args[0])
	if at == 0 {
		return 0, &MissingError{Func: c.r.Name, What: "scheduler", Caller: c.caller()}
	}
	state, err := c.s.k.Mem.Load32(at)
	if err != nil || state&uint32(c.args[1]) == 0 {
		return 0, err
	}
	if err := c.s.k.Mem.Store32(at, 0); err != nil {
		return 0, err
	}
	c.s.opts.Tasks.Woken()
	return 1, nil
}

// scheduleTimeout is schedule_timeout(timeout), in jiffies: it returns what was left of it when the
// task was woken (kernel/time/sleep_timeout.c).
func scheduleTimeout(c *request) (uint64, error) {
	timeout := int64(c.args[0])
	if timeout == math.MaxInt64 { // MAX_SCHEDULE_TIMEOUT
		_, err := c.schedule(0)
		return uint64(timeout), err
	}
	if timeout < 0 {
		return 0, c.s.setRunning(c.task())
	}
	tick, err := c.s.clock.jiffy(c.cpu)
	if err != nil {
		return 0, err
	}
	until := c.s.clock.read() + uint64(timeout)*tick
	if _, err := c.schedule(max(until, 1)); err != nil {
		return 0, err
	}
	if now := c.s.clock.read(); now < until {
		return (until - now) / tick, nil
	}
	return 0, nil
}

// usleepRange is usleep_range_state(min, max, state), in microseconds.
func usleepRange(c *request) (uint64, error) {
	if err := c.maySleep(); err != nil {
		return 0, err
	}
	_, err := c.sleep(func() bool { return false }, c.s.clock.read()+max(c.args[0], 1)*1000, nil)
	return 0, err
}

// hrtimerModeRel is HRTIMER_MODE_REL (include/linux/hrtimer.h).
const hrtimerModeRel = 1

// scheduleHrtimeout is schedule_hrtimeout_range_clock(expires, delta, mode, clock): 0 once the time has come,
// -EINTR when the task was woken before.
func scheduleHrtimeout(c *request) (uint64, error) {
	const guestEINTR = 4
	if c.args[0] == 0 {
		_, err := c.schedule(0)
		return negative(guestEINTR), err
	}
	expires, err := c.s.k.Mem.Load64(c.args[0])
	if err != nil {
		return 0, err
	}
	if expires == 0 {
		return 0, c.s.setRunning(c.task())
	}
	if c.args[2]&hrtimerModeRel != 0 {
		expires += c.s.clock.read()
	}
	expired, err := c.schedule(expires)
	if err != nil || expired {
		return 0, err
	}
	return negative(guestEINTR), nil
}

// resched is preempt_schedule(): whether a task is preempted is not the kernel's to say.
func resched(*request) (uint64, error) { return 0, nil }
