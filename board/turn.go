package board

import (
	"context"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
)

// TurnEnd is why a CPU's turn ended.
type TurnEnd uint8

// Ends of turns.
const (
	TurnSpent TurnEnd = iota // its instructions are executed
	TurnWaits                // at WFI
	TurnSpins                // after WFE or YIELD: the CPU waits for what another one does
	TurnHeld                 // at a hypercall that the host does not serve yet
)

// Hypercall serves HVC with a number of the host's own. args are the CPU's registers, with PC behind the HVC.
// Where it returns false, the HVC has done nothing, and ends the turn that it is executed in.
type Hypercall func(cpu int, imm uint16, regs *emu.Regs) (done bool, err error)

// Hypercalls are the numbers of HVC that the board leaves to the host.
const (
	FirstHypercall = 0xca40
	LastHypercall  = 0xca7f
)

// Interleave has the machine's CPUs execute in turns that the caller chooses, by [Machine.Turn]. The first process calls the code at addr,
// which is not waited for: nothing else can be called from then on.
func (m *Machine) Interleave(serve Hypercall, addr uint64, args ...uint64) error {
	if _, err := m.prepareCall(m.where(addr), addr, args...); err != nil {
		return err
	}
	m.calling, m.serve, m.stopped = true, serve, false
	for _, c := range m.cpus {
		c.WatchSpins(true)
	}
	return nil
}

// Ready returns the CPUs that can execute, a bit each. One that waits for an interrupt can, once there is one.
func (m *Machine) Ready() (cpus uint) {
	for i, c := range m.cpus {
		c.SetSystem(asm.CNTVCT_EL0, m.now)
		if c.waits && c.online && m.gic.waiting(i) != 0 {
			c.waits = false
		}
		if !c.waits {
			cpus |= 1 << i
		}
	}
	return cpus
}

// Turn has a CPU that is ready execute up to n instructions, and returns how many it has executed. The others stand still, and time is
// the instructions of all. An error is the machine's end, such as a panic.
func (m *Machine) Turn(ctx context.Context, cpu int, n uint64) (TurnEnd, uint64, error) {
	if m.err != nil {
		return TurnSpent, 0, m.err
	}
	if uint(cpu) >= uint(len(m.cpus)) || m.cpus[cpu].waits || m.serve == nil {
		return TurnSpent, 0, fmt.Errorf("turn of CPU %d: %w", cpu, errno.EINVAL)
	}
	c := m.cpus[cpu]
	m.running = cpu
	c.SetSystem(asm.CNTVCT_EL0, m.now)
	c.spins, c.held = false, false
	begin := c.Count()
	var err error
	for err == nil && c.Count()-begin < n && !c.waits && !c.spins && !c.held && !m.stopped {
		err = c.execute(ctx, n-(c.Count()-begin))
	}
	m.now = c.now()
	executed := c.Count() - begin
	switch {
	case err != nil:
		m.err = m.runError(fmt.Sprintf("turn of CPU %d", cpu), err)
		return TurnSpent, executed, m.err
	case c.held:
		return TurnHeld, executed, nil
	case c.waits:
		return TurnWaits, executed, nil
	case c.spins:
		return TurnSpins, executed, nil
	}
	return TurnSpent, executed, nil
}

// Skip moves time on to the next timer, and reports whether one is armed.
func (m *Machine) Skip() bool {
	at, ok := m.nextTimer()
	m.now = max(at, m.now)
	return ok
}

// Now is the time in nanoseconds.
func (m *Machine) Now() uint64 { return m.now }

// Regs are the registers of a CPU, to be read.
func (m *Machine) Regs(cpu int) *emu.Regs { return m.cpus[cpu].Regs() }
