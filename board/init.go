package board

import (
	"encoding/binary"
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// maxPath is PATH_MAX.
const maxPath = 4096

// hookHVC is HVC #hookImm, which stands where the kernel starts a program.
const (
	hookImm = 0xca11
	hookHVC = 0xd4000002 | hookImm<<5
)

// hook has a function of the kernel call the board before anything else that it does. Its call site stays.
func (m *Machine) hook(name string) error {
	sym, err := m.symbols.Lookup(name)
	if err != nil {
		return err
	}
	at := sym.Addr
	if site, ok := m.img.Site(sym.Addr); ok {
		at = site.IP + 4
	}
	binary.LittleEndian.PutUint32(m.ram[at-m.img.Linux().Base:], hookHVC)
	return nil
}

// hypercall is HVC: the firmware's, or the hook's.
func (m *Machine) hypercall(c *cpu, imm uint64) error {
	switch imm {
	case 0:
		m.psci(c)
	case hookImm:
		return m.execve(c)
	default:
		c.Regs().X[0] = psciNotSupported
	}
	return nil
}

// execve is kernel_execve(filename, argv, envp). The first process starts: the board is booted. There is no other
// program.
func (m *Machine) execve(c *cpu) error {
	r := c.Regs()
	name, err := c.readString(r.X[0], maxPath)
	if err == nil && name == initPath && !m.booted {
		m.booted, m.stopped = true, true
		return nil
	}
	noEntry := -int64(errno.ENOENT)
	r.X[0], r.PC = uint64(noEntry), r.X[30]
	return nil
}

// gate is a CPU that has come to a gate.
func (m *Machine) gate(c *cpu, at uint64) error {
	if at == emu.ReturnGate {
		m.stopped = true
		return nil
	}
	return fmt.Errorf("a branch to %#x: %w", at, errno.EFAULT)
}
