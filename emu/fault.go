package emu

import (
	"fmt"

	"callops/internal/errno"
)

// Access is what an instruction, or the host, tried to do.
type Access uint8

// Kinds of access.
const (
	Load Access = iota
	Store
	Fetch
)

func (a Access) String() string {
	switch a {
	case Load:
		return "load"
	case Store:
		return "store"
	default:
		return "fetch"
	}
}

// FaultKind is why memory refused.
type FaultKind uint8

// Kinds of fault.
const (
	Unmapped FaultKind = iota
	Denied             // mapped, but not with that permission
	Misaligned
)

func (k FaultKind) String() string {
	switch k {
	case Unmapped:
		return "unmapped"
	case Denied:
		return "not permitted"
	default:
		return "misaligned"
	}
}

// Fault is an access that memory refused. errors.Is(f, errno.EFAULT) holds.
type Fault struct {
	Addr   uint64
	Size   uint64 // bytes, 0 where the engine does not know
	Access Access
	Kind   FaultKind
	PC     uint64 // 0 for an access by the host
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("%s at %#x: %s", f.Access, f.Addr, f.Kind)
	if f.PC != 0 && f.Access != Fetch {
		s += fmt.Sprintf(", from pc %#x", f.PC)
	}
	return s
}

// Is reports EFAULT, what the kernel's caller would see.
func (f *Fault) Is(target error) bool { return target == errno.EFAULT }
