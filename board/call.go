package board

import (
	"context"
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// The window is memory of the host that the kernel reaches at an address of user space, in the place of the
// first process' own. It lies behind the RAM that the kernel knows of.
const (
	windowBase = 0x7fff_0000_0000
	windowSize = 16 << 20
)

// redZone is what a call leaves below the first process' stack pointer.
const redZone = 1024

// Call calls a function of the kernel by its name, in the first process' context, with up to
// [emu.MaxArgs] arguments, and returns what it returns. It may sleep, and whatever else the kernel has to
// do goes on meanwhile. Between calls time stands still.
//
// A call that does not return, for ctx ended or the kernel panicked, leaves the kernel where it is: later
// ones return the same error. Of ctx that has ended before the call nothing is done.
func (m *Machine) Call(ctx context.Context, name string, args ...uint64) (uint64, error) {
	addr, err := m.Symbol(name)
	if err != nil {
		return 0, err
	}
	return m.callAt(ctx, name, addr, args...)
}

// CallAt is Call of the code at an address, such as [Machine.PlaceCode] returns.
func (m *Machine) CallAt(ctx context.Context, addr uint64, args ...uint64) (uint64, error) {
	return m.callAt(ctx, m.where(addr), addr, args...)
}

func (m *Machine) callAt(ctx context.Context, name string, addr uint64, args ...uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("call of %s: %w", name, err)
	}
	before, err := m.prepareCall(name, addr, args...)
	if err != nil {
		return 0, err
	}
	m.calling, m.task, m.oops = true, before.SPEL0, ""
	returned := false
	defer func() {
		if m.calling = false; !returned { // a function of the host's has panicked
			m.keep(fmt.Errorf("call of %s: the host left it", name))
		}
	}()
	err = m.run(ctx, emu.DefaultBudget)
	returned = true
	if err != nil {
		m.err = m.runError(name, err)
		return 0, m.err
	}
	r := m.init.Regs() // it may have moved to another CPU
	result := r.X[0]
	r.X, r.SP, r.PC, r.NZCV = before.X, before.SP, before.PC, before.NZCV
	return result, nil
}

// prepareCall has the first process' registers call a function, and returns what they were.
func (m *Machine) prepareCall(name string, addr uint64, args ...uint64) (before emu.Regs, err error) {
	if m.err != nil {
		return before, fmt.Errorf("call of %s: %w", name, m.err)
	}
	if m.calling {
		return before, fmt.Errorf("call of %s within another: %w", name, errno.EBUSY)
	}
	r := m.init.Regs()
	before = *r
	r.SP -= redZone
	if err := r.SetCall(addr, args...); err != nil {
		*r = before
		return before, err
	}
	r.X[30] = before.PC // behind the hook's first HVC
	return before, nil
}

// ReadMemory copies from the kernel's memory, as its tables map it.
func (m *Machine) ReadMemory(addr uint64, p []byte) error {
	return m.access(addr, p, func(guest, part []byte) { copy(part, guest) })
}

// WriteMemory copies to the kernel's memory, whether it may be written or not. Text is not patched with it.
func (m *Machine) WriteMemory(addr uint64, p []byte) error {
	return m.access(addr, p, func(guest, part []byte) { m.wrote(guest); copy(guest, part) })
}

// PatchText changes code of the kernel's, as a fault to be found. CPUs see it from their next instruction on.
func (m *Machine) PatchText(addr uint64, p []byte) error {
	if err := m.WriteMemory(addr, p); err != nil {
		return err
	}
	m.mem.SyncText(addr, uint64(len(p)))
	return nil
}

func (m *Machine) access(addr uint64, p []byte, f func(guest, part []byte)) error {
	if m.ram == nil {
		return errClosed
	}
	for len(p) > 0 {
		b, err := m.cpus[m.running].bytes(addr, uint64(len(p)))
		if err != nil {
			return err
		}
		f(b, p[:len(b)])
		addr, p = addr+uint64(len(b)), p[len(b):]
	}
	return nil
}

// window is the host's memory at the window; none of a board that is closed.
func (m *Machine) window() []byte {
	if m.ram == nil {
		return nil
	}
	return m.ram[ramSize:]
}
