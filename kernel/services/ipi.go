package services

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// Interrupts reach the other CPUs.
type Interrupts interface {
	// Interrupt has each of the CPUs to run fn, with its own CPU, between two
	// instructions of what it runs and with interrupts masked. With wait it returns
	// after all of them, otherwise perhaps before. The first error of an fn ends
	// the call that asked, or that of the CPU where it is not waited for.
	Interrupt(from emu.CPU, to []int, wait bool, fn func(cpu emu.CPU) error) error
}

// Interrupt implements [Interrupts] for CPUs that take turns: one that is not in the
// kernel runs fn at once.
func (t turns) Interrupt(_ emu.CPU, to []int, _ bool, fn func(cpu emu.CPU) error) error {
	for _, id := range to {
		c := t.k.CPUs[id]
		if c.Calls().InProgress() {
			return &InterruptError{id}
		}
		if err := fn(c.CPU); err != nil {
			return fmt.Errorf("CPU %d: %w", id, err)
		}
	}
	return nil
}

// InterruptError is an IPI to a CPU that is in the kernel and does not run. It matches
// EDEADLK.
type InterruptError struct{ CPU int }

func (e *InterruptError) Error() string {
	return fmt.Sprintf("an IPI to CPU %d, which is in the kernel and does not run", e.CPU)
}

// Is reports EDEADLK.
func (e *InterruptError) Is(target error) bool { return target == errno.EDEADLK }

// Flags of smp_call_function_many_cond (kernel/smp.c).
const (
	scfWait     = 1 << 0
	scfRunLocal = 1 << 1
)

// callMany is smp_call_function_many_cond(mask, func, info, flags, cond), in which
// smp_call_function, on_each_cpu and kick_all_cpus_sync end.
func callMany(c *request) (uint64, error) {
	mask, fn, info, flags, cond := c.args[0], c.args[1], c.args[2], c.args[3], c.args[4]
	var to []int
	local := false
	for id := range c.s.k.CPUs {
		if in, err := c.s.inMask(mask, id); err != nil {
			return 0, err
		} else if !in || !c.s.online(id) {
			continue
		}
		if cond != 0 {
			x0, err := c.s.guest(background, c.cpu, cond, uint64(id), info)
			if err != nil {
				return 0, err
			}
			if x0&0xff == 0 { // bool
				continue
			}
		}
		if id == c.cpu.ID() {
			local = flags&scfRunLocal != 0
			continue
		}
		to = append(to, id)
	}
	return 0, c.callOn(to, local, flags&scfWait != 0, fn, info)
}

// callOn has CPUs call a function with interrupts masked, and this one where local is
// set.
func (c *request) callOn(to []int, local, wait bool, fn, info uint64) error {
	for _, id := range to {
		c.s.event(c.cpu, Event{Kind: Interrupted, Func: c.r.Name, Addr: fn, Value: uint64(id)})
	}
	if len(to) > 0 {
		err := c.s.opts.Interrupts.Interrupt(c.cpu, to, wait, func(cpu emu.CPU) error {
			return c.s.inContext(background, cpu, hardirqOffset, c.s.irqCall, fn, info)
		})
		if err != nil {
			return err
		}
	}
	if !local {
		return nil
	}
	_, err := c.s.guest(background, c.cpu, c.s.irqCall, fn, info)
	return err
}

// callSingle is smp_call_function_single(cpu, func, info, wait).
func callSingle(c *request) (uint64, error) {
	return c.single(int(int32(c.args[0])), c.args[3]&0xffff_ffff != 0, c.args[1], c.args[2])
}

// callSingleAsync is smp_call_function_single_async(cpu, csd).
func callSingleAsync(c *request) (uint64, error) {
	csd, err := c.s.k.Mem.ReadWords(c.args[1], 4) // node, func, info
	if err != nil {
		return 0, err
	}
	return c.single(int(int32(c.args[0])), false, csd[2], csd[3])
}

func (c *request) single(id int, wait bool, fn, info uint64) (uint64, error) {
	switch {
	case id == c.cpu.ID():
		return 0, c.callOn(nil, true, wait, fn, info)
	case id < 0 || id >= len(c.s.k.CPUs) || !c.s.online(id):
		return negative(guestENXIO), nil
	}
	return 0, c.callOn([]int{id}, false, wait, fn, info)
}

// scheduleOnEach is schedule_on_each_cpu(func): it calls func(work) on every CPU, where
// it may sleep.
func scheduleOnEach(c *request) (uint64, error) {
	if err := c.maySleep(); err != nil {
		return 0, err
	}
	for id := range c.s.k.CPUs {
		if id == c.cpu.ID() || !c.s.online(id) {
			continue
		}
		c.s.event(c.cpu, Event{Kind: Interrupted, Func: c.r.Name, Addr: c.args[0], Value: uint64(id)})
		err := c.s.opts.Interrupts.Interrupt(c.cpu, []int{id}, true, func(cpu emu.CPU) error { return c.s.work(cpu, c.args[0]) })
		if err != nil {
			return 0, err
		}
	}
	return 0, c.s.work(c.cpu, c.args[0])
}

// workSize is as much as any kernel's work_struct has: data, entry, func and debugging.
const workSize = 128

// work calls func(work). The work_struct is on the stack of the task, below what is in use.
func (s *Services) work(cpu emu.CPU, fn uint64) error {
	regs := cpu.Regs()
	sp := regs.SP
	defer func() { regs.SP = sp }()
	regs.SP = (sp - workSize) &^ 15
	work := regs.SP
	if err := s.k.Mem.Write(work, make([]byte, workSize)); err != nil {
		return err
	}
	for off, v := range map[uint64]uint64{8: work + 8, 16: work + 8, 24: fn} { // INIT_WORK
		if err := s.k.Mem.Store64(work+off, v); err != nil {
			return err
		}
	}
	_, err := s.guest(background, cpu, fn, work)
	return err
}

// inMask reports whether a CPU is in a struct cpumask.
func (s *Services) inMask(mask uint64, id int) (bool, error) {
	w, err := s.k.Mem.Load64(mask + uint64(id)/64*8)
	return err == nil && w>>(id%64)&1 != 0, err
}

// online reports whether a CPU is: all are where the kernel does not tell.
func (s *Services) online(id int) bool {
	mask := s.k.OnlineMask()
	if mask == 0 {
		return true
	}
	in, err := s.inMask(mask, id)
	return err == nil && in
}
