package board

import (
	"fmt"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
)

// GateFunc is a Go function that the guest calls: on a CPU, with x0 to x7 as args. Its result goes to x0. It may read and change the CPU's other
// registers, and the machine's memory; it calls no function of the guest. An error ends the call of the host's that goes on. m is the machine that
// the CPU belongs to, which may be a fork.
type GateFunc func(m *Machine, cpu emu.CPU, args [8]uint64) (uint64, error)

type gate struct {
	name string
	fn   GateFunc
}

// Gate gives a Go function an address that the guest can call, from any code and context. It costs the guest no instruction. Forks have it at the
// same address.
func (m *Machine) Gate(name string, fn GateFunc) (uint64, error) {
	if fn == nil {
		return 0, fmt.Errorf("gate %s: no function: %w", name, errno.EINVAL)
	}
	addr, err := m.gates.Add(name, func(cpu emu.CPU, args [8]uint64) (uint64, error) { return fn(m, cpu, args) })
	if err == nil {
		m.served = append(m.served, gate{name, fn})
	}
	return addr, err
}

// TracerFunc is a tracer in Go (ftrace_func_t): ip is the call site, parentIP where the traced function was called from, ops the address of its
// ftrace_ops. regs are valid until it returns.
type TracerFunc func(m *Machine, ip, parentIP, ops uint64, regs *ftrace.Regs)

// GoTracer makes fn callable by the kernel's ftrace, and returns the address to give to NewOps.
func (m *Machine) GoTracer(name string, fn TracerFunc) (uint64, error) {
	if fn == nil {
		return 0, fmt.Errorf("tracer %s: no function: %w", name, errno.EINVAL)
	}
	return m.Gate(name, func(m *Machine, _ emu.CPU, args [8]uint64) (uint64, error) {
		regs := ftrace.RegsAt(m, &m.img.Layout().Regs, args[3])
		fn(m, args[0], args[1], args[2], regs)
		return 0, regs.Err()
	})
}

// DirectFunc is a direct call in Go: args are the traced function's, ip is the instruction of it that goes on afterwards, and parentIP where it was
// called from. It may change args.
type DirectFunc func(m *Machine, ip, parentIP uint64, args *[8]uint64)

// GoDirect makes fn a direct call's trampoline, and returns the address to give to [Ops.RegisterDirect].
func (m *Machine) GoDirect(name string, fn DirectFunc) (uint64, error) {
	if fn == nil {
		return 0, fmt.Errorf("direct call %s: no function: %w", name, errno.EINVAL)
	}
	return m.Gate(name, func(m *Machine, cpu emu.CPU, args [8]uint64) (uint64, error) {
		// x9 is the traced function's return address, x30 the trampoline's (arch/arm64/kernel/entry-ftrace.S).
		r := cpu.Regs()
		fn(m, r.X[30], r.X[9], &args)
		copy(r.X[:], args[:])
		r.X[30] = r.X[9]
		return args[0], nil
	})
}

// Load64 reads a doubleword of the kernel's memory.
func (m *Machine) Load64(addr uint64) (uint64, error) {
	w, err := m.load64(addr, 1)
	if err != nil {
		return 0, err
	}
	return w[0], nil
}

// Store64 writes a doubleword of the kernel's memory.
func (m *Machine) Store64(addr, v uint64) error { return m.WriteMemory(addr, words(v)) }
