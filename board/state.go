package board

import (
	"fmt"
	"maps"
	"slices"

	"callops/asm"
	"callops/emu"
	"callops/emu/isa"
	"callops/internal/errno"
)

// state is a board that stands still, but for its RAM: what [Machine.Fork] and snapshots begin with. Regions
// are not part of it, since a CPU may forget what it has walked.
type state struct {
	Now     uint64
	Running int
	Init    int // the CPU that the first process is on
	Count   uint64
	CPUs    []cpuState
	GIC     gicState
	Line    []byte // that the console has not ended
}

type cpuState struct {
	Regs          emu.Regs
	System        map[asm.SysReg]uint64 // that Regs does not have
	Trapped       map[asm.SysReg]uint64
	Control       uint64 // of the timer
	Compare       uint64
	Online, Waits bool
}

type gicState struct {
	Enabled bool
	CPUs    []gicCPU
}

// savedRegisters are the system registers of a CPU that a state has.
var savedRegisters = func() (ids []asm.SysReg) {
	for _, r := range isa.Registers {
		if r.Kind == isa.Stored {
			ids = append(ids, r.ID)
		}
	}
	return append(ids, asm.DAIF, isa.PAN, isa.UAO, asm.MPIDR_EL1, asm.CNTVCT_EL0)
}()

// save returns the board's state. No call is in progress.
func (m *Machine) save() *state {
	s := &state{Now: m.now, Running: m.running, Init: m.init.ID(), Count: m.Count(), Line: slices.Clone(m.uart.line)}
	for _, c := range m.cpus {
		cs := cpuState{
			Regs: *c.Regs(), System: make(map[asm.SysReg]uint64), Trapped: maps.Clone(c.trap),
			Control: c.timer.control, Compare: c.timer.compare, Online: c.online, Waits: c.waits,
		}
		for _, id := range savedRegisters {
			cs.System[id] = c.system(id)
		}
		s.CPUs = append(s.CPUs, cs)
	}
	s.GIC = gicState{m.gic.enabled, slices.Clone(m.gic.cpus)}
	return s
}

// restore has the board's CPUs and devices go on from a state. It is untrusted: EINVAL where it is none of such a board.
func (m *Machine) restore(s *state) error {
	n := len(m.cpus)
	if len(s.CPUs) != n || len(s.GIC.CPUs) != n || uint(s.Running) >= uint(n) || uint(s.Init) >= uint(n) || len(s.Line) > maxLine {
		return fmt.Errorf("it is not the state of a board with %d CPUs: %w", n, errno.EINVAL)
	}
	for i, cs := range s.CPUs {
		c := m.cpus[i]
		*c.Regs() = cs.Regs
		for _, id := range savedRegisters {
			c.SetSystem(id, cs.System[id])
		}
		c.trap = maps.Clone(cs.Trapped)
		if c.trap == nil {
			c.trap = make(map[asm.SysReg]uint64)
		}
		c.timer, c.online, c.waits = timer{cs.Control, cs.Compare}, cs.Online, cs.Waits
	}
	m.gic.enabled, m.gic.cpus = s.GIC.Enabled, slices.Clone(s.GIC.CPUs)
	m.uart.line = slices.Clone(s.Line)
	m.now, m.running, m.init, m.counted = s.Now, s.Running, m.cpus[s.Init], s.Count
	return nil
}
