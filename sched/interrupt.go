package sched

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"callops/emu"
	"callops/internal/errno"
)

// ipis are the interrupts that a CPU is to take.
type ipis struct {
	pending atomic.Bool // there are some

	mu    sync.Mutex
	queue []*ipi
}

// ipi is one interrupt of one CPU.
type ipi struct {
	fn   func(emu.CPU) error
	wait bool
	done atomic.Bool
	err  error // after done
}

// Interrupt has each of the CPUs run fn, between two instructions of what it runs or idle, with its
// interrupts masked. With wait it returns after all of them, with their errors; otherwise the
// error ends what the CPU runs. Any goroutine may call it; on is the CPU that it
// belongs to, which answers interrupts meanwhile, or nil. EDEADLK after Options.Stall.
func (s *Scheduler) Interrupt(on emu.CPU, to []int, wait bool, fn func(emu.CPU) error) error {
	var sent []*ipi
	for _, id := range to {
		if id < 0 || id >= len(s.cpus) || on != nil && id == on.ID() {
			return fmt.Errorf("IPI to CPU %d of %d: %w", id, len(s.cpus), errno.EINVAL)
		}
		i := &ipi{fn: fn, wait: wait}
		s.cpus[id].ipis.send(i)
		sent = append(sent, i)
	}
	s.mu.Lock()
	s.wake.Broadcast()
	s.mu.Unlock()
	if !wait {
		return nil
	}
	return s.answered(on, to, sent)
}

// answered waits until interrupts have been taken.
func (s *Scheduler) answered(on emu.CPU, to []int, sent []*ipi) error {
	began := time.Now()
	for {
		i := slices.IndexFunc(sent, func(i *ipi) bool { return !i.done.Load() })
		if i < 0 {
			break
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if time.Since(began) > s.opts.Stall {
			return fmt.Errorf("CPU %d has not answered an IPI after %v: %w", to[i], s.opts.Stall.Round(time.Millisecond), errno.EDEADLK)
		}
		if on != nil {
			if err := s.cpus[on.ID()].answer(); err != nil {
				return err
			}
		}
		runtime.Gosched()
	}
	var errs []error
	for i, ipi := range sent {
		if ipi.err != nil {
			errs = append(errs, fmt.Errorf("CPU %d: %w", to[i], ipi.err))
		}
	}
	return errors.Join(errs...)
}

func (q *ipis) send(i *ipi) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, i)
	q.pending.Store(true)
}

func (q *ipis) take() (queue []*ipi) {
	q.mu.Lock()
	defer q.mu.Unlock()
	queue, q.queue = q.queue, nil
	q.pending.Store(false)
	return queue
}

// interrupt takes interrupts, unless they are masked. The CPU is between two instructions of its task.
func (c *cpu) interrupt() error {
	if !c.ipis.pending.Load() {
		return nil
	}
	daif, err := c.exec(c.s.code.masked)
	if err != nil || daif&daifI != 0 {
		return err
	}
	return c.answer()
}

// answer takes interrupts. What the CPU runs does not see it, but for its exclusive monitor.
func (c *cpu) answer() error {
	if !c.ipis.pending.Load() {
		return nil
	}
	var errs []error
	for _, i := range c.ipis.take() {
		err := c.take(i)
		if !i.wait {
			errs = append(errs, err)
		}
	}
	_, err := c.exec(c.s.code.clearMonitor)
	return errors.Join(append(errs, err)...)
}

func (c *cpu) take(i *ipi) (err error) {
	defer func() {
		i.err = err
		i.done.Store(true)
	}()
	if err := c.s.ctx.Err(); err != nil {
		return err
	}
	daif, err := c.exec(c.s.code.masked)
	if err != nil {
		return err
	}
	if daif&daifI == 0 {
		if _, err := c.exec(c.s.code.mask); err != nil {
			return err
		}
		defer func() {
			_, unmasked := c.exec(c.s.code.unmask)
			err = errors.Join(err, unmasked)
		}()
	}
	return i.fn(c.CPU.CPU)
}

// interruptIdle takes interrupts in the idle task.
func (c *cpu) interruptIdle() {
	c.load(c.idle)
	if err := c.answer(); err != nil {
		c.s.mu.Lock()
		_ = c.s.fail(fmt.Errorf("CPU %d, idle: %w", c.id, err))
		c.s.mu.Unlock()
	}
}
