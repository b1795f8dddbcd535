package services

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// NoAllocatorError is memory that guest code asked for. It matches ENOSYS: the
// kernel's own answer, NULL, would tell its caller of a machine that is out of
// memory, and the caller would go on.
type NoAllocatorError struct {
	Func   string // the allocator's function
	Caller string // what called it, as %pS; "" where the call itself did
}

func (e *NoAllocatorError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	return fmt.Sprintf("%s was called%s, and callops has no allocator for a kernel that is not booted", e.Func, by)
}

// Is reports ENOSYS.
func (e *NoAllocatorError) Is(target error) bool { return target == errno.ENOSYS }

// noAllocator ends the calls that want memory.
func noAllocator(s *Services, r Replaced) emu.GateFunc {
	return func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
		return r.leave(cpu, &NoAllocatorError{Func: r.Name, Caller: s.caller(cpu)})
	}
}

// caller is the call that led to the gate that a CPU is at, as %pS; "" when it is
// that of Go.
func (s *Services) caller(cpu emu.CPU) string {
	lr := cpu.Regs().X[30]
	if lr == emu.ReturnGate {
		return ""
	}
	return s.k.Where(lr)
}
