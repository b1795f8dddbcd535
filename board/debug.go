package board

import (
	"context"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/trace"
	"callops/trace/profile"
)

// StepFunc is told of an instruction that a CPU has executed, and of the registers before it, with PC on it. It calls no function of the guest.
type StepFunc func(cpu emu.CPU, before *emu.Regs)

// OnStep has fn called after each instruction of any CPU, in their order; nil: none. The guest then runs some twenty times slower, and executes the
// same.
func (m *Machine) OnStep(fn StepFunc) { m.step = fn }

// Profile counts what the guest executes while run does: by function, by instruction and by stack. Interrupts and other tasks are in it.
func (m *Machine) Profile(run func() error) (*profile.Profile, error) {
	if m.step != nil {
		return nil, fmt.Errorf("profile: instructions are stepped through already: %w", errno.EBUSY)
	}
	counter := profile.NewCounter(len(m.cpus), profile.NewNames(m.symbols.All()))
	var failed error
	m.OnStep(func(cpu emu.CPU, before *emu.Regs) {
		word, err := m.word(before.PC)
		if err != nil && failed == nil {
			failed = fmt.Errorf("profile: %w", err)
		}
		counter.Step(cpu.ID(), before.PC, word, cpu.Regs().PC)
	})
	defer m.OnStep(nil)
	if err := run(); err != nil {
		return nil, err
	}
	return counter.Profile(), failed
}

// TraceInsns tells out of each instruction that the guest executes while run does, with the registers that it changed. Patches are stores
// of the kernel's own, among the others.
func (m *Machine) TraceInsns(out trace.InsnWriter, run func() error) error {
	if m.step != nil {
		return fmt.Errorf("trace: instructions are stepped through already: %w", errno.EBUSY)
	}
	start := make([]uint64, len(m.cpus))
	for i, c := range m.cpus {
		start[i] = c.Count()
	}
	m.OnStep(func(cpu emu.CPU, before *emu.Regs) {
		e := trace.Insn{
			CPU: cpu.ID(), Number: cpu.Count() - start[cpu.ID()], Addr: before.PC, Where: m.symbols.Short(before.PC),
			Changes: trace.RegChanges(before, cpu.Regs()),
		}
		word, err := m.word(before.PC)
		if err != nil {
			e.Text = err.Error()
		} else {
			e.Word, e.Text = word, asm.Disassemble(word, before.PC, m.symbols.Short)
		}
		e.Gate, _ = m.gates.Name(cpu.Regs().PC)
		out.Insn(e)
	})
	defer m.OnStep(nil)
	return run()
}

// word is the instruction at an address.
func (m *Machine) word(addr uint64) (uint32, error) {
	if w, err := m.mem.Load32(addr); err == nil {
		return w, nil
	}
	var b [4]byte
	err := m.ReadMemory(addr, b[:])
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24, err
}

// Stop is a CPU that stands at a breakpoint, or before an access that a watchpoint is for.
type Stop struct {
	CPU       emu.CPU    // its registers can be read and changed
	Fault     *emu.Fault // the access; nil at a breakpoint
	Init      bool       // it is the first process, in what the host calls
	Backtrace []uint64   // PC, then return addresses, innermost first
	Callers   []string   // the same as %pS

}

// StopFunc is called at each stop. The CPU goes on when it has returned nil; an error ends the call of the host's that goes on. It calls
// no function of the guest.
type StopFunc func(s *Stop) error

// SetTraps has CPUs stop at breakpoints and watchpoints, in the place of those set before; nil: at none. Addresses are virtual; watched pages
// are reached by other mappings unnoticed.
func (m *Machine) SetTraps(traps *emu.Traps, fn StopFunc) error {
	if traps != nil && fn == nil {
		return fmt.Errorf("traps: no function: %w", errno.EINVAL)
	}
	m.trapped, m.points = fn, nil
	for _, c := range m.cpus {
		c.SetTraps(traps)
	}
	return nil
}

// Break has fn called each time that a CPU comes to a function, in the place of other traps.
func (m *Machine) Break(name string, fn StopFunc) error {
	addr, err := m.Symbol(name)
	if err != nil {
		return err
	}
	return m.SetTraps(&emu.Traps{Breakpoints: map[uint64]bool{addr: true}}, fn)
}

// stopAt tells of a trap, and executes the instruction that it is at.
func (c *cpu) stopAt(ctx context.Context, exit emu.Exit) error {
	s := &Stop{CPU: c, Fault: exit.Fault, Init: c.Regs().SPEL0 == c.m.task, Backtrace: c.backtrace()}
	for _, pc := range s.Backtrace {
		s.Callers = append(s.Callers, c.m.where(pc))
	}
	if err := c.m.trapped(s); err != nil {
		return fmt.Errorf("stop at %s: %w", c.m.where(exit.PC), err)
	}
	if c.Regs().PC != exit.PC {
		return nil // fn has sent it elsewhere
	}
	before := c.Count()
	regs := *c.Regs()
	exit, err := c.Step()
	if c.m.step != nil && c.Count() != before {
		c.m.step(c, &regs)
	}
	return c.handle(ctx, exit, err)
}
