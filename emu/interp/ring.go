package interp

import (
	"slices"
	"unsafe"
)

// ringSize is how many straight runs Recent can look back; a power of two.
const ringSize = 128

// ringEntry is where execution went and how many instructions had been executed
// by then. What was executed from there on is straight code up to the count of
// the next entry, since a branch that is not taken makes none.
//
// in is the address of an inst. Its page holds it, so that the garbage
// collector need not see it here, and storing it costs no write barrier.
type ringEntry struct {
	in    uintptr
	count uint64
}

// Recent implements [emu.CPU].
func (c *CPU) Recent(n int) []uint64 {
	if n <= 0 {
		return nil
	}
	var pcs []uint64
	end := c.count
	for i := c.head; i > 0 && c.head-i < ringSize && len(pcs) < n; i-- {
		e := &c.ring[(i-1)%ringSize]
		start := c.address(e.in)
		for k := end - e.count; k > 0 && len(pcs) < n; k-- {
			pcs = append(pcs, start+4*(k-1))
		}
		end = e.count
	}
	slices.Reverse(pcs)
	return pcs
}

// address is the guest address of an inst.
func (c *CPU) address(in uintptr) uint64 {
	for _, p := range c.pages {
		if off := in - uintptr(unsafe.Pointer(&p.ops)); off < unsafe.Sizeof(p.ops) {
			return p.base + uint64(off/(instSize/4))
		}
	}
	return 0
}

// went notes that execution goes on at in, unless that is where it would have
// gone anyway.
func (c *CPU) went(in *inst) {
	if c.head > 0 {
		e := &c.ring[(c.head-1)%ringSize]
		if e.in+uintptr(c.count-e.count)*instSize == uintptr(unsafe.Pointer(in)) {
			return
		}
	}
	c.ring[c.head%ringSize] = ringEntry{uintptr(unsafe.Pointer(in)), c.count}
	c.head++
}
