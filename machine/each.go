package machine

import (
	"context"
	"errors"
	"fmt"

	"callops/emu"
	"callops/internal/errno"
	"callops/sched"
)

// Caller calls guest functions in a task of the machine.
type Caller struct {
	ID int // from 0; there are as many as CPUs

	call func(opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error)
}

// Call runs the function at addr, as [kernel.Kernel.Call] does.
func (c *Caller) Call(opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error) {
	return c.call(opts, addr, args...)
}

// Callers is the number of callers of [Machine.Each]: one per CPU.
func (m *Machine) Callers() int {
	if m == nil {
		return 0
	}
	return len(m.Kernel.CPUs)
}

// Each runs body for as many callers as there are CPUs, and returns their errors
// when all have ended. With one CPU that is in its own task, on the calling
// goroutine. With several each is a task of the scheduler on a CPU of its own, and
// all run at the same time: how they interleave is the host's affair, and differs from
// run to run.
func (m *Machine) Each(ctx context.Context, body func(c *Caller) error) error {
	return m.run(ctx, m.Callers(), body)
}

// One is Each for one caller only, whatever the number of CPUs.
func (m *Machine) One(ctx context.Context, body func(c *Caller) error) error {
	return m.run(ctx, 1, body)
}

func (m *Machine) run(ctx context.Context, callers int, body func(c *Caller) error) error {
	if m == nil || body == nil {
		return fmt.Errorf("no machine, or nothing for its callers to do: %w", errno.EINVAL)
	}
	if m.Sched == nil {
		return body(&Caller{call: func(opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error) {
			return m.Kernel.Call(ctx, 0, opts, addr, args...)
		}})
	}
	errs := make([]error, callers) // told here, and not once more by the scheduler's end
	var tasks []*sched.Task
	for id := range callers {
		t, err := m.Sched.SpawnOn(id, fmt.Sprintf("callops/%d", id), func(t *sched.Task) error {
			errs[id] = body(&Caller{ID: id, call: t.Call})
			return nil
		})
		if err != nil {
			errs[id] = err
			break
		}
		tasks = append(tasks, t)
	}
	var waited []error // a task that still runs writes to errs
	for _, t := range tasks {
		waited = append(waited, t.Wait())
	}
	return errors.Join(append(errs, waited...)...)
}
