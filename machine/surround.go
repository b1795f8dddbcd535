package machine

import (
	"errors"

	"callops/emu"
	"callops/kernel/services"
	"callops/sched"
)

// surroundings are a scheduler's tasks, grace periods and CPUs, as the services of a kernel want
// them.
type surroundings struct{ m *Machine }

// graceKinds are the scheduler's rules by which grace periods end. Readers of RCU tasks
// trace are marked by none; one in the kernel may be one.
var graceKinds = map[services.GraceKind]sched.Kind{
	services.RCU: sched.RCU, services.RCUTasks: sched.Tasks, services.RCUTasksRude: sched.Rude, services.RCUTasksTrace: sched.Tasks,
}

// Begin implements [services.GracePeriods].
func (s surroundings) Begin(_ emu.CPU, kind services.GraceKind) (services.GracePeriod, error) {
	return s.m.Sched.Begin(graceKinds[kind]), nil
}

// Interrupt implements [services.Interrupts].
func (s surroundings) Interrupt(from emu.CPU, to []int, wait bool, fn func(emu.CPU) error) error {
	return s.m.Sched.Interrupt(from, to, wait, fn)
}

// Switch implements [services.Tasks].
func (s surroundings) Switch(cpu emu.CPU) error {
	if t := s.m.Sched.Current(cpu); t != nil {
		return t.Schedule()
	}
	return sched.ErrAtomic
}

// Sleep implements [services.Tasks].
func (s surroundings) Sleep(cpu emu.CPU, ready func() bool, until uint64) (bool, error) {
	t := s.m.Sched.Current(cpu)
	if t == nil {
		return false, sched.ErrAtomic
	}
	expired, err := t.Sleep(ready, until)
	return expired, deadlock(err)
}

// Spin implements [services.Tasks].
func (s surroundings) Spin(cpu emu.CPU, ready func() bool) error {
	t := s.m.Sched.Current(cpu)
	if t == nil { // an interrupt of an idle CPU, which another one releases
		for !ready() {
			if err := s.m.Sched.Relax(); err != nil {
				return err
			}
		}
		return nil
	}
	return deadlock(t.Spin(ready))
}

// Woken implements [services.Tasks].
func (s surroundings) Woken() { s.m.Sched.Woken() }

func deadlock(err error) error {
	if errors.Is(err, sched.ErrDeadlock) {
		return services.ErrDeadlock
	}
	return err
}
