package emu

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
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

	zone uint64 // bytes after it that are its own
}

// room is how much the object takes up.
func (o *Object) room() uint64 { return (max(o.Size+o.zone, 1) + heapAlign - 1) &^ (heapAlign - 1) }

// Heap hands out zeroed memory of one region and poisons what is freed. Freed
// memory is reused only when the rest is used up, the half that was freed first. It may
// be used from several goroutines.
type Heap struct {
	mem        *Memory
	base, size uint64

	root  *Heap  // nil: this is the first one
	first uint64 // the number of base's poison, after those of the heaps before it

	mu      sync.Mutex // guards what follows
	more    *Heap      // that this one was extended with
	observe func(Object)
	used    uint64     // from here on nothing was ever handed out
	spans   []span     // what can be handed out, in address order
	chunks  [][]Object // by chunkSize from base on; in each in address order, by where they begin
	freed   []uint64   // addresses, oldest first
}

// chunkSize is how much memory's objects are kept in one list.
const chunkSize = 64 << 10

// span is memory that is free.
type span struct{ start, end uint64 }

// NewHeap makes a heap of a region of mem.
func NewHeap(mem *Memory, r *Region) *Heap {
	return &Heap{
		mem: mem, base: r.Base, size: r.Size, used: r.Base, spans: []span{{r.Base, r.End()}},
		chunks: make([][]Object, (r.Size+chunkSize-1)/chunkSize),
	}
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
	return h.AllocZoned(name, size, align, 0)
}

// AllocZoned is AllocAligned with at least zone bytes after the object in which no other
// one lies.
func (h *Heap) AllocZoned(name string, size, align, zone uint64) (uint64, error) {
	if align == 0 || align&(align-1) != 0 {
		return 0, fmt.Errorf("heap: %s, aligned to %#x bytes: %w", name, align, errno.EINVAL)
	}
	addr, err := h.alloc(Object{Name: name, Size: size, zone: zone}, align)
	if err == nil {
		h.tell(addr)
	}
	return addr, err
}

func (h *Heap) alloc(o Object, align uint64) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	full := func() error { return fmt.Errorf("heap: %s, %d bytes: %w", o.Name, o.Size, errno.ENOMEM) }
	if o.Size > h.size || o.zone > h.size {
		return 0, full()
	}
	var ok bool
	for o.Addr, ok = h.take(o.room(), align); !ok; o.Addr, ok = h.take(o.room(), align) {
		if len(h.freed) == 0 {
			return 0, full()
		}
		h.recycle()
	}
	h.insert(o)
	end := o.Addr + o.room()
	dirty := min(end, h.used)
	h.used = max(h.used, end)
	if dirty <= o.Addr {
		return o.Addr, nil
	}
	return o.Addr, h.mem.Write(o.Addr, make([]byte, dirty-o.Addr))
}

// take takes room from the first span that has it. What alignment leaves in front of it
// is lost until the next recycle.
func (h *Heap) take(room, align uint64) (uint64, bool) {
	for i := range h.spans {
		s := &h.spans[i]
		pad := -s.start & (align - 1)
		if pad > s.end-s.start || room > s.end-s.start-pad {
			continue
		}
		addr := s.start + pad
		if s.start = addr + room; s.start == s.end {
			h.spans = slices.Delete(h.spans, i, i+1)
		}
		return addr, true
	}
	return 0, false
}

// recycle forgets the older half of the freed objects: what lies between those that are
// left is free.
func (h *Heap) recycle() {
	half := (len(h.freed) + 1) / 2
	for _, addr := range h.freed[:half] {
		c, i := h.find(addr)
		h.chunks[c] = slices.Delete(h.chunks[c], i, i+1)
	}
	h.freed = slices.Clone(h.freed[half:])
	h.spans = h.spans[:0]
	from := h.base
	for _, chunk := range h.chunks {
		for i := range chunk {
			if o := &chunk[i]; o.Addr > from {
				h.spans = append(h.spans, span{from, o.Addr})
			}
			from = chunk[i].Addr + chunk[i].room()
		}
	}
	if end := h.base + h.size; end > from {
		h.spans = append(h.spans, span{from, end})
	}
}

// insert adds an object, in its order.
func (h *Heap) insert(o Object) {
	c := (o.Addr - h.base) / chunkSize
	i, _ := slices.BinarySearchFunc(h.chunks[c], o.Addr, byAddr)
	h.chunks[c] = slices.Insert(h.chunks[c], i, o)
}

func byAddr(o Object, addr uint64) int { return cmp.Compare(o.Addr, addr) }

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
	o := h.object(addr)
	if o == nil || o.Addr != addr || o.Freed {
		return fmt.Errorf("heap: free of %#x, which is not a live object: %w", addr, errno.EINVAL)
	}
	o.Freed = true
	h.freed = append(h.freed, addr)
	p := make([]byte, o.room())
	for j := 0; j < len(p); j += 8 {
		binary.LittleEndian.PutUint64(p[j:], h.poison(addr))
	}
	return h.mem.Write(addr, p)
}

func (h *Heap) poison(addr uint64) uint64 {
	return poisonTag | (h.first+(addr-h.base)/heapAlign)<<poisonShift
}

// find returns where the last object that begins at addr or before it is: its chunk, and
// its place there; -1: there is none.
func (h *Heap) find(addr uint64) (chunk, i int) {
	for c := int((addr - h.base) / chunkSize); c >= 0; c-- {
		i, exact := slices.BinarySearchFunc(h.chunks[c], addr, byAddr)
		if exact {
			return c, i
		}
		if i > 0 {
			return c, i - 1
		}
	}
	return 0, -1
}

// object returns the object that holds addr; nil: none does.
func (h *Heap) object(addr uint64) *Object {
	if addr-h.base >= h.size {
		return nil
	}
	c, i := h.find(addr)
	if i < 0 || addr-h.chunks[c][i].Addr >= max(h.chunks[c][i].Size, 1) {
		return nil
	}
	return &h.chunks[c][i]
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
	o := h.object(addr)
	if o == nil {
		return Object{}, false
	}
	return *o, true
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
