package services

import (
	"cmp"
	"fmt"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
)

// NoAllocatorError is memory that guest code asked for. It matches ENOSYS: the
// kernel's own answer, NULL, would tell its caller of a machine that is out of
// memory, and the caller would go on.
type NoAllocatorError struct {
	Func   string // the allocator's function
	Caller string // what called it, as %pS; "" where the call itself did
	What   string // is missing; "" for all of it
}

func (e *NoAllocatorError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	return fmt.Sprintf("%s was called%s, and %s", e.Func, by, cmp.Or(e.What, "callops has no allocator for a kernel that is not booted"))
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

// allocFlags are the registers of gfp_t that differ between kernels; none is known
// where the types are not.
func (s *Services) allocFlags() kernelimage.AllocFlags {
	l := &s.k.Layout.Slab
	if l.Cache.Size == 0 {
		none := kernelimage.Absent
		return kernelimage.AllocFlags{KmallocNode: none, KmallocNodeTrack: none, KvmallocNode: none, Kvrealloc: none}
	}
	return l.Flags
}
