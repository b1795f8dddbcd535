package board

import (
	"encoding/binary"
	"fmt"

	"callops/internal/errno"
)

// maxPath is PATH_MAX.
const maxPath = 4096

// Words that stand where the kernel starts a program: HVC with these numbers.
const (
	execImm   = 0xca11
	returnImm = 0xca12 // the host's call has returned
	hvcWord   = 0xd4000002
)

// hook has a function of the kernel call the board in the place of what it does. Its call site stays. In the word after the
// first one host's calls return, so that the function is what called.
func (m *Machine) hook(name string) error {
	sym, err := m.symbols.Lookup(name)
	if err != nil {
		return err
	}
	at := sym.Addr
	if site, ok := m.img.Site(sym.Addr); ok {
		at = site.IP + 4
	}
	if at-m.img.Linux().Base > m.img.Bounds().End-m.img.Linux().Base-8 {
		return fmt.Errorf("%s at %#x is not in the image: %w", name, sym.Addr, errno.ENOEXEC)
	}
	for i, imm := range []uint32{execImm, returnImm} {
		binary.LittleEndian.PutUint32(m.ram[at-m.img.Linux().Base+4*uint64(i):], hvcWord|imm<<5)
	}
	return nil
}

// hypercall is HVC: the firmware's, or the hook's.
func (m *Machine) hypercall(c *cpu, imm uint64) error {
	switch imm {
	case 0:
		m.psci(c)
	case execImm:
		return m.execve(c)
	case sitesImm:
		return m.cutSites(c)
	case returnImm:
		m.returned(c)
	default:
		if imm >= FirstHypercall && imm <= LastHypercall && m.serve != nil {
			return m.serveHost(c, imm)
		}
		c.Regs().X[0] = psciNotSupported
	}
	return nil
}

// serveHost has the host serve a hypercall.
func (m *Machine) serveHost(c *cpu, imm uint64) error {
	served, err := m.serve(c.ID(), uint16(imm), c.Regs())
	if served != ServedNothing {
		c.hypercalls++
	}
	switch served {
	case ServedTurn:
		c.served = true
	case ServedHeld, ServedNothing:
		c.Regs().PC -= 4
		c.held = true
	}
	return err
}

// execve is kernel_execve(filename, argv, envp). The first process starts: the board is booted. There is no other
// program.
func (m *Machine) execve(c *cpu) error {
	r := c.Regs()
	name, err := c.readString(r.X[0], maxPath)
	if err == nil && name == initPath && m.init == nil {
		m.stopped = true
		m.init = c
		return nil
	}
	noEntry := -int64(errno.ENOENT)
	r.X[0], r.PC = uint64(noEntry), r.X[30]
	return nil
}
