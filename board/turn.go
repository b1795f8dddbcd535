package board

import (
	"context"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
)

// TurnEnd is why a CPU's turn ended.
type TurnEnd uint8

// Ends of turns.
const (
	TurnSpent  TurnEnd = iota // its instructions are executed
	TurnWaits                 // at WFI
	TurnSpins                 // after WFE or YIELD: the CPU waits for what another one does
	TurnHeld                  // at a hypercall that the host does not serve yet
	TurnServed                // after one whose server ends the turn
	TurnPoint                 // before an instruction of [Machine.SetPoints]
)

// Hypercall serves HVC with a number of the host's own. args are the CPU's registers, with PC behind the HVC.
type Hypercall func(cpu int, imm uint16, regs *emu.Regs) (Served, error)

// Served is what has become of a hypercall.
type Served uint8

// Results of a [Hypercall].
const (
	ServedGoOn    Served = iota
	ServedTurn           // and the turn ends
	ServedHeld           // the HVC is to be executed again, and ends the turn
	ServedNothing        // the same, and nothing was done
)

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

// Turn has a CPU that is ready execute up to n instructions, at least one, and returns how many it has executed. A hypercall of the host's is one. The others stand still, and time is
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
	c.spins, c.held, c.served = false, false, false
	begin := c.Count()
	c.hypercalls, c.pass, c.point = 0, c.point, false
	done := func() uint64 { return c.Count() - begin + c.hypercalls }
	m.turning = true
	var err error
	for err == nil && done() < n && !c.waits && !c.spins && !c.held && !c.served && !c.point && !m.stopped {
		err = c.execute(ctx, n-done())
	}
	m.turning = false
	m.now = c.now()
	executed := done()
	switch {
	case err != nil:
		m.err = m.runError(fmt.Sprintf("turn of CPU %d", cpu), err)
		return TurnSpent, executed, m.err
	case c.held:
		return TurnHeld, executed, nil
	case c.served:
		return TurnServed, executed, nil
	case c.point:
		return TurnPoint, executed, nil
	case c.waits:
		return TurnWaits, executed, nil
	case c.spins:
		return TurnSpins, executed, nil
	}
	return TurnSpent, executed, nil
}

// SetPoints has turns end before the instructions at these addresses, in the place of those set before and of all traps; nil: at none. A turn that
// begins where the CPU's last one ended so goes on.
func (m *Machine) SetPoints(pcs map[uint64]bool) {
	m.points = pcs
	for _, c := range m.cpus {
		c.SetTraps(&emu.Traps{Breakpoints: pcs})
	}
}

// Skip moves time on to the next timer, and reports whether one is armed.
func (m *Machine) Skip() bool {
	at, ok := m.nextTimer()
	m.now = max(at, m.now)
	return ok
}

// Now is the time in nanoseconds, within a turn too.
func (m *Machine) Now() uint64 {
	if m.turning {
		return m.cpus[m.running].now()
	}
	return m.now
}

// Regs are the registers of a CPU, to be read.
func (m *Machine) Regs(cpu int) *emu.Regs { return m.cpus[cpu].Regs() }

// CPUs is the number of CPUs.
func (m *Machine) CPUs() int { return len(m.cpus) }

// Image is the kernel's image.
func (m *Machine) Image() *kernelimage.Image { return m.img }

// Symbol is the address of a symbol of the kernel, a module or placed code.
func (m *Machine) Symbol(name string) (uint64, error) {
	sym, err := m.symbols.Lookup(name)
	return sym.Addr, err
}

// Extent is where a function begins and ends.
func (m *Machine) Extent(name string) (start, end uint64, err error) {
	if start, err = m.Symbol(name); err != nil {
		return 0, 0, err
	}
	s, _, _ := m.symbols.At(start)
	return start, start + s.Size, nil
}

// Where is an address as the kernel's %pS.
func (m *Machine) Where(addr uint64) string { return m.where(addr) }

// Backtrace is where a CPU stands, and the functions that called, innermost first.
func (m *Machine) Backtrace(cpu int) []string {
	var list []string
	for _, pc := range m.cpus[cpu].backtrace() {
		list = append(list, m.where(pc))
	}
	return list
}
