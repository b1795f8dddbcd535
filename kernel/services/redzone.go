package services

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// What follows an object up to its room's end holds redZone, of which there are minZone
// bytes at least, as with slub_debug=Z (SLUB_RED_ACTIVE, include/linux/poison.h).
const (
	redZone = 0xcc
	minZone = 8
)

// OverrunError is an object that guest code wrote past the end of; it is found when the
// object is freed. It matches EFAULT.
type OverrunError struct {
	Func   string // that was given the object
	Caller string // what called it, as %pS; "" where the call itself did
	Object emu.Object
	Addr   uint64 // of the first byte that was written
	Found  byte
}

func (e *OverrunError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	o := &e.Object
	return fmt.Sprintf("%s of %#x%s, %s (%d bytes), past the end of which %#x was written, at %#x", e.Func, o.Addr, by, o.Name, o.Size, e.Found, e.Addr)
}

// Is reports EFAULT.
func (e *OverrunError) Is(target error) bool { return target == errno.EFAULT }

// roomOf is how much room an object has with a zone of at least so many bytes after it.
func roomOf(size, zone uint64) uint64 { return (size + zone + minAlign - 1) &^ (minAlign - 1) }

// mark fills what follows an object.
func (s *Services) mark(addr uint64, o *object) error {
	b := make([]byte, o.room-o.size)
	for i := range b {
		b[i] = redZone
	}
	return s.k.Mem.Write(addr+o.size, b)
}

// overrun looks whether what follows an object is as it was.
func (c *request) overrun(addr uint64, o *object) error {
	b := make([]byte, o.room-o.size)
	if err := c.s.k.Mem.Read(addr+o.size, b); err != nil {
		return err
	}
	for i, v := range b {
		if v != redZone {
			in, _ := c.s.k.Heap.Lookup(addr)
			in.Size = o.size
			return &OverrunError{Func: c.r.Name, Caller: c.caller(), Object: in, Addr: addr + o.size + uint64(i), Found: v}
		}
	}
	return nil
}
