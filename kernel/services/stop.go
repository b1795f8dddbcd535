package services

import (
	"sync"
	"sync/atomic"

	"callops/emu"
)

// stopper has one CPU at a time stop the others.
type stopper struct{ mu sync.Mutex }

// stopMachine is stop_machine_cpuslocked(fn, data, cpus): fn(data) is called on the first CPU, or on all in cpus,
// while every other is stopped with interrupts masked (kernel/stop_machine.c).
func stopMachine(c *request) (uint64, error) {
	fn, data, cpus := c.args[0], c.args[1], c.args[2]
	if err := c.maySleep(); err != nil {
		return 0, err
	}
	active := func(id int) (bool, error) {
		if cpus == 0 {
			return id == c.s.firstOnline(), nil
		}
		return c.s.inMask(cpus, id)
	}
	// Another CPU that stops this one has to find it answering.
	if err := c.s.opts.Tasks.Spin(c.cpu, c.s.stopper.mu.TryLock); err != nil {
		return 0, err
	}
	defer c.s.stopper.mu.Unlock()
	var others []int
	for id := range c.s.k.CPUs {
		if id != c.cpu.ID() && c.s.online(id) {
			others = append(others, id)
			c.s.event(c.cpu, Event{Kind: Interrupted, Func: c.r.Name, Addr: fn, Value: uint64(id)})
		}
	}
	stop := stop{c: c, fn: fn, data: data, active: active, run: make(chan struct{})}
	defer stop.release()
	if _, turns := c.s.opts.Interrupts.(turns); turns { // the others stand still anyhow
		stop.release()
	}
	stop.left.Store(int32(len(others)))
	stop.arriving.Store(int32(len(others)))
	if err := c.s.opts.Interrupts.Interrupt(c.cpu, others, false, stop.stopped); err != nil {
		return 0, err
	}
	if err := c.s.opts.Tasks.Spin(c.cpu, func() bool { return stop.arriving.Load() <= 0 }); err != nil {
		return 0, err
	}
	stop.release()
	err := stop.call(c.cpu)
	if spun := c.s.opts.Tasks.Spin(c.cpu, func() bool { return stop.left.Load() <= 0 }); err == nil {
		err = spun
	}
	return uint64(stop.status.Load()), err
}

// stop is one stop_machine.
type stop struct {
	c        *request
	fn, data uint64
	active   func(id int) (bool, error)
	once     sync.Once
	run      chan struct{} // closed when all CPUs have arrived

	arriving, left atomic.Int32 // CPUs that are not stopped yet, and that have not gone on
	status         atomic.Uint32
}

func (s *stop) release() { s.once.Do(func() { close(s.run) }) }

// stopped is what another CPU does.
func (s *stop) stopped(cpu emu.CPU) error {
	defer s.left.Add(-1)
	s.arriving.Add(-1)
	<-s.run
	return s.call(cpu)
}

// call calls the function on a CPU that is to.
func (s *stop) call(cpu emu.CPU) error {
	active, err := s.active(cpu.ID())
	if err != nil || !active {
		return err
	}
	x0, err := s.c.s.guest(background, cpu, s.c.s.irqCall, s.fn, s.data)
	if uint32(x0) != 0 {
		s.status.Store(uint32(x0))
	}
	return err
}

// firstOnline is cpumask_first(cpu_online_mask).
func (s *Services) firstOnline() int {
	for id := range s.k.CPUs {
		if s.online(id) {
			return id
		}
	}
	return 0
}
