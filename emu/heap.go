package emu

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync"

	"callops/internal/errno"
)

// heapAlign is the alignment and granule of heap objects.
const heapAlign = 16

// Freed words hold poison: the kernel's POISON_POINTER_DELTA with the object's
// place in the heap, so that a pointer taken from freed memory faults and the
// fault's address names the object (include/linux/poison.h).
const (
	poisonTag   = 0xdead << 48
	poisonMask  = 0xffff << 48
	poisonShift = 16 // low bits are left for the offset of the faulting access
)

// Object is one allocation.
type Object struct {
	Name  string
	Addr  uint64
	Size  uint64
	Freed bool
}

// Heap hands out zeroed memory of one region and poisons what is freed. Freed
// memory is reused only when the rest is used up, oldest first. It may be used
// from several goroutines.
type Heap struct {
	mem        *Memory
	base, size uint64

	root  *Heap  // nil: this is the first one
	first uint64 // the number of base's poison, after those of the heaps before it

	mu      sync.Mutex // guards what follows
	more    *Heap      // that this one was extended with
	observe func(Object)
	next    uint64   // where untouched memory begins
	objects []Object // in address order
	freed   []int    // indexes into objects, oldest first
}

// NewHeap makes a heap of a region of mem.
func NewHeap(mem *Memory, r *Region) *Heap {
	return &Heap{mem: mem, base: r.Base, size: r.Size, next: r.Base}
}

// Extend makes a heap of another region. What is asked of h about an address, its
// objects answer too, and h's observer is told of them.
func (h *Heap) Extend(r *Region) *Heap {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.more != nil {
		return h.more.Extend(r)
	}
	h.more = NewHeap(h.mem, r)
	h.more.root, h.more.first = h, h.first+h.size/heapAlign
	if h.root != nil {
		h.more.root = h.root
	}
	return h.more
}

// holding is the first heap that f holds for; nil: there is none.
func (h *Heap) holding(f func(h *Heap) bool) *Heap {
	for h != nil && !f(h) {
		h.mu.Lock()
		more := h.more
		h.mu.Unlock()
		h = more
	}
	return h
}

// Observe has f called with each object once it is allocated, and again once it is
// freed, by the goroutine that does so; nil ends it.
func (h *Heap) Observe(f func(Object)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observe = f
}

// tell tells the observer of the object at addr.
func (h *Heap) tell(addr uint64) {
	root := h
	if h.root != nil {
		root = h.root
	}
	root.mu.Lock()
	f := root.observe
	root.mu.Unlock()
	if f == nil {
		return
	}
	if o, ok := h.lookup(addr); ok {
		f(o)
	}
}

// Alloc returns the address of size zeroed bytes, 16-byte aligned; ENOMEM when
// there is no room.
func (h *Heap) Alloc(name string, size uint64) (uint64, error) {
	return h.AllocAligned(name, size, heapAlign)
}

// AllocAligned is Alloc at a multiple of align, a power of two; another one is
// EINVAL.
func (h *Heap) AllocAligned(name string, size, align uint64) (uint64, error) {
	if align == 0 || align&(align-1) != 0 {
		return 0, fmt.Errorf("heap: %s, aligned to %#x bytes: %w", name, align, errno.EINVAL)
	}
	addr, err := h.alloc(name, size, align)
	if err == nil {
		h.tell(addr)
	}
	return addr, err
}

func (h *Heap) alloc(name string, size, align uint64) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.base + h.size
	pad := -h.next & (align - 1)
	room := (max(size, 1) + heapAlign - 1) &^ (heapAlign - 1)
	if size > h.size || pad > end-h.next || room > end-h.next-pad {
		return h.reuse(name, size, align)
	}
	addr := h.next + pad
	h.next = addr + room
	h.objects = append(h.objects, Object{Name: name, Addr: addr, Size: size})
	return addr, nil
}

// reuse takes the oldest freed object that is large enough.
func (h *Heap) reuse(name string, size, align uint64) (uint64, error) {
	for i, n := range h.freed {
		o := &h.objects[n]
		if o.Addr&(align-1) != 0 || o.room(h) < size {
			continue
		}
		h.freed = append(h.freed[:i], h.freed[i+1:]...)
		*o = Object{Name: name, Addr: o.Addr, Size: size}
		return o.Addr, h.mem.Write(o.Addr, make([]byte, o.room(h)))
	}
	return 0, fmt.Errorf("heap: %s, %d bytes: %w", name, size, errno.ENOMEM)
}

// room is what the object can hold: up to the next object.
func (o *Object) room(h *Heap) uint64 {
	i := sort.Search(len(h.objects), func(i int) bool { return h.objects[i].Addr > o.Addr })
	if i == len(h.objects) {
		return h.next - o.Addr
	}
	return h.objects[i].Addr - o.Addr
}

// Free poisons the object at addr; EINVAL when addr is no live object's.
func (h *Heap) Free(addr uint64) error {
	if err := h.free(addr); err != nil {
		return err
	}
	h.tell(addr)
	return nil
}

func (h *Heap) free(addr uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, ok := h.find(addr)
	if !ok || h.objects[i].Addr != addr || h.objects[i].Freed {
		return fmt.Errorf("heap: free of %#x, which is not a live object: %w", addr, errno.EINVAL)
	}
	o := &h.objects[i]
	o.Freed = true
	h.freed = append(h.freed, i)
	p := make([]byte, o.room(h))
	for j := 0; j < len(p); j += 8 {
		binary.LittleEndian.PutUint64(p[j:], h.poison(addr))
	}
	return h.mem.Write(addr, p)
}

func (h *Heap) poison(addr uint64) uint64 {
	return poisonTag | (h.first+(addr-h.base)/heapAlign)<<poisonShift
}

// find returns the object that holds addr.
func (h *Heap) find(addr uint64) (int, bool) {
	i := sort.Search(len(h.objects), func(i int) bool { return h.objects[i].Addr > addr }) - 1
	return i, i >= 0 && addr-h.objects[i].Addr < max(h.objects[i].Size, 1)
}

// Lookup returns the object, live or freed, that holds addr.
func (h *Heap) Lookup(addr uint64) (Object, bool) {
	in := h.holding(func(h *Heap) bool { return addr-h.base < h.size })
	if in == nil {
		return Object{}, false
	}
	return in.lookup(addr)
}

func (h *Heap) lookup(addr uint64) (Object, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, ok := h.find(addr)
	if !ok {
		return Object{}, false
	}
	return h.objects[i], true
}

// Poisoned returns the freed object from which addr was taken, if addr is
// poison plus a small offset.
func (h *Heap) Poisoned(addr uint64) (Object, bool) {
	if addr&poisonMask != poisonTag {
		return Object{}, false
	}
	number := (addr &^ uint64(poisonMask)) >> poisonShift
	in := h.holding(func(h *Heap) bool { return number-h.first < h.size/heapAlign })
	if in == nil {
		return Object{}, false
	}
	return in.lookup(in.base + (number-in.first)*heapAlign)
}
