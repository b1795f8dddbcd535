package interp

import "unsafe"

// What the loop may do for the guest's order: tso says that plain loads and plain stores each
// keep theirs, fences that an atomic addition orders as fence does.
const (
	tso    = true
	fences = true
)

// cas128 replaces the 16 bytes at p, which is a multiple of 16, when they are
// old, and returns what was there. Every amd64 processor of the last twenty
// years has the instruction.
//
//go:noescape
func cas128(p unsafe.Pointer, old0, old1, new0, new1 uint64) (have0, have1 uint64, swapped bool)

// fence orders all accesses before it with all after it.
func fence()
