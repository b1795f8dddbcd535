package services

import (
	"fmt"
	"sync"

	"callops/emu"
	"callops/internal/errno"
)

// zeroSizePtr is ZERO_SIZE_PTR: what an object of no bytes has for its address
// (include/linux/slab.h).
const zeroSizePtr = 16

// minAlign is that of every object (ARCH_KMALLOC_MINALIGN is 8 at least).
const minAlign = 16

// objects are those that kmalloc has given out, on the kernel's heap. An object that
// is given back is poisoned there.
type objects struct {
	mu   sync.Mutex
	live map[uint64]uint64 // sizes, by address
}

// FreeError is an address that is not a live object's of kmalloc. It matches EINVAL.
type FreeError struct {
	Func   string // that was given the address
	Caller string // what called it, as %pS; "" where the call itself did
	Addr   uint64
	Object emu.Object // that the address is in; no Name: in none
}

func (e *FreeError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	switch o := e.Object; {
	case o.Name == "":
		return fmt.Sprintf("%s of %#x%s, which kmalloc did not return", e.Func, e.Addr, by)
	case o.Freed && o.Addr == e.Addr:
		return fmt.Sprintf("double free: %s of %#x%s, %s (%d bytes), which has been freed", e.Func, e.Addr, by, o.Name, o.Size)
	case o.Freed:
		return fmt.Sprintf("%s of %#x%s, in %s (%#x, %d bytes), which has been freed", e.Func, e.Addr, by, o.Name, o.Addr, o.Size)
	default:
		return fmt.Sprintf("%s of %#x%s, in %s (%#x, %d bytes), where no object of kmalloc begins", e.Func, e.Addr, by, o.Name, o.Addr, o.Size)
	}
}

// Is reports EINVAL.
func (e *FreeError) Is(target error) bool { return target == errno.EINVAL }

// kmalloc makes functions that allocate as many bytes as register xi says. Memory is
// zeroed whatever the flags, as where the kernel is booted with init_on_alloc, so
// nothing depends on where the flags are.
func kmalloc(i int) func(*Services, Replaced) emu.GateFunc {
	return onHeap(func(c *request) (uint64, error) { return c.alloc(c.args[i], c.naturalAlign(c.args[i])) })
}

// kvmalloc makes functions that begin every object at a page: some versions pass an
// alignment, which is none of more.
func kvmalloc(c *request) (uint64, error) { return c.alloc(c.args[0], c.s.k.Image.PageSize()) }

// krealloc is krealloc(p, new_size, flags), and krealloc_node_align: what it passes
// third is an alignment.
func krealloc(c *request) (uint64, error) { return c.realloc(c.naturalAlign(c.args[1])) }

func kreallocAlign(c *request) (uint64, error) {
	align := c.args[2]
	if align&(align-1) != 0 {
		return 0, fmt.Errorf("%s: alignment %#x: %w", c.r.Name, align, errno.EINVAL)
	}
	return c.realloc(max(align, c.naturalAlign(c.args[1])))
}

func kvreallocAlign(c *request) (uint64, error) {
	c.args[2] = max(c.args[2], c.s.k.Image.PageSize())
	return kreallocAlign(c)
}

func kfree(c *request) (uint64, error) { return 0, c.free(c.args[0]) }

func ksize(c *request) (uint64, error) { return c.size(c.args[0]) }

// sizeRoundup is kmalloc_size_roundup: an object is as large as was asked for.
func sizeRoundup(c *request) (uint64, error) { return c.args[0], nil }

// freeBulk is kmem_cache_free_bulk(NULL, n, objects), which kfree_bulk calls. There
// are no caches that objects could be of.
func freeBulk(c *request) (uint64, error) {
	if c.args[0] != 0 {
		return 0, &NoAllocatorError{Func: c.r.Name, Caller: c.caller()}
	}
	for i := range c.args[1] {
		p, err := c.s.k.Mem.Load64(c.args[2] + 8*i)
		if err != nil {
			return 0, err
		}
		if err := c.free(p); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// request is a call of a function that onHeap made.
type request struct {
	s    *Services
	r    Replaced
	cpu  emu.CPU
	args [8]uint64
}

func onHeap(serve func(c *request) (uint64, error)) func(*Services, Replaced) emu.GateFunc {
	return func(s *Services, r Replaced) emu.GateFunc {
		return func(cpu emu.CPU, args [8]uint64) (uint64, error) {
			x0, err := serve(&request{s, r, cpu, args})
			if err != nil {
				return r.leave(cpu, err)
			}
			return x0, nil
		}
	}
}

func (c *request) caller() string { return c.s.caller(c.cpu) }

// naturalAlign is the alignment that kmalloc promises: to the largest power of two
// that divides the size, and to a page where it is larger than that.
func (c *request) naturalAlign(size uint64) uint64 {
	page := c.s.k.Image.PageSize()
	if size > page {
		return page
	}
	return max(minAlign, size&-size)
}

// alloc returns an object. Where there is no room the call ends: the heap's size is
// callops', not the kernel's.
func (c *request) alloc(size, align uint64) (uint64, error) {
	if size == 0 {
		return zeroSizePtr, nil
	}
	by := c.caller()
	if by == "" {
		by = "the call"
	}
	addr, err := c.s.k.Heap.AllocAligned("what "+by+" allocated", size, align)
	if err != nil {
		return 0, err
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	if c.s.objects.live == nil {
		c.s.objects.live = make(map[uint64]uint64)
	}
	c.s.objects.live[addr] = size
	return addr, nil
}

// size is how large an object is.
func (c *request) size(addr uint64) (uint64, error) {
	if addr <= zeroSizePtr {
		return 0, nil
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	size, ok := c.s.objects.live[addr]
	if !ok {
		return 0, c.notLive(addr)
	}
	return size, nil
}

func (c *request) notLive(addr uint64) error {
	o, _ := c.s.k.Heap.Lookup(addr)
	return &FreeError{Func: c.r.Name, Caller: c.caller(), Addr: addr, Object: o}
}

// free gives an object back. NULL and ZERO_SIZE_PTR are none.
func (c *request) free(addr uint64) error {
	if addr <= zeroSizePtr {
		return nil
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	if _, ok := c.s.objects.live[addr]; !ok {
		return c.notLive(addr)
	}
	delete(c.s.objects.live, addr)
	return c.s.k.Heap.Free(addr)
}

// realloc is krealloc: an object of the new size with what was in the old one.
func (c *request) realloc(align uint64) (uint64, error) {
	old, size := c.args[0], c.args[1]
	had, err := c.size(old)
	if err != nil {
		return 0, err
	}
	addr, err := c.alloc(size, align)
	if err != nil {
		return 0, err
	}
	kept := make([]byte, min(had, size))
	if err := c.s.k.Mem.Read(old, kept); err != nil {
		return 0, err
	}
	if err := c.s.k.Mem.Write(addr, kept); err != nil {
		return 0, err
	}
	return addr, c.free(old)
}
