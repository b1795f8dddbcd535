package services

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
)

// kind is what allocator an object is of.
type kind uint8

const (
	ofKmalloc kind = iota
	ofKvmalloc
	ofCache
	ofVmalloc
	ofPages
	ofPerCPU // at the first CPU's copy
)

var kindNames = [...]string{ofKmalloc: "kmalloc", ofKvmalloc: "kvmalloc", ofCache: "kmem_cache_alloc", ofVmalloc: "vmalloc", ofPages: "the page allocator",
	ofPerCPU: "the per-CPU allocator"}

// object is memory that guest code has.
type object struct {
	size  uint64 // bytes; what ksize returns
	room  uint64 // bytes with what follows it that is its own: [redZone] up to there
	kind  kind
	cache *cache // of ofCache
	heap  *emu.Heap
}

// owner is what the object is of, for messages.
func (o *object) owner() string {
	if o.cache != nil {
		return "cache " + o.cache.name
	}
	return kindNames[o.kind]
}

// objects are what guest code has been given, on the kernel's heap. An object that is
// given back is poisoned there.
type objects struct {
	mu   sync.Mutex
	live map[uint64]*object // by address

	caches  map[uint64]*cache // by the address of their structure
	sheaves map[uint64]*sheaf // by address
}

// FreeError is an address that the function which was given it cannot free. It
// matches EINVAL.
type FreeError struct {
	Func   string // that was given the address
	Caller string // what called it, as %pS; "" where the call itself did
	Addr   uint64
	How    string     // the order or size that it was given, "with order 1"; "" for none
	Object emu.Object // that the address is in; no Name: in none
	Owner  string     // whose the object is that begins there, where it is not Func's; "" otherwise
}

func (e *FreeError) Error() string {
	by := ""
	if e.How != "" {
		by = " " + e.How
	}
	if e.Caller != "" {
		by += " by " + e.Caller
	}
	switch o := e.Object; {
	case e.Owner != "":
		return fmt.Sprintf("%s of %#x%s, %s (%d bytes), which is %s's", e.Func, e.Addr, by, o.Name, o.Size, e.Owner)
	case o.Name == "":
		return fmt.Sprintf("%s of %#x%s, which no allocator returned", e.Func, e.Addr, by)
	case o.Freed && o.Addr == e.Addr:
		return fmt.Sprintf("double free: %s of %#x%s, %s (%d bytes), which has been freed", e.Func, e.Addr, by, o.Name, o.Size)
	case o.Freed:
		return fmt.Sprintf("%s of %#x%s, in %s (%#x, %d bytes), which has been freed", e.Func, e.Addr, by, o.Name, o.Addr, o.Size)
	default:
		return fmt.Sprintf("%s of %#x%s, in %s (%#x, %d bytes), where no object of an allocator begins", e.Func, e.Addr, by, o.Name, o.Addr, o.Size)
	}
}

// Is reports EINVAL.
func (e *FreeError) Is(target error) bool { return target == errno.EINVAL }

// pageSize is that of the kernel, in bytes.
func (c *request) pageSize() uint64 { return c.s.k.Image.PageSize() }

// gfp are allocation flags, as the caller passed them.
type gfp uint32

// Flags that allocators heed, as in all of 6.1 to 7.3 (include/linux/gfp_types.h).
const (
	gfpZero   gfp = 0x100
	gfpNoFail gfp = 0x8000
	gfpComp   gfp = 0x40000
)

// flags are those in register xi; where none has them, memory is zeroed.
func (c *request) flags(i int) gfp {
	if i < 0 || i >= len(c.args) {
		return gfpZero
	}
	return gfp(c.args[i])
}

// alloc gives guest code an object; 0 where this allocation is to fail. What nobody asked
// to be zeroed holds POISON_INUSE, as with slub_debug=P. Where the heap
// has no room the call ends: its size is callops', not the kernel's.
func (c *request) alloc(o object, align uint64, flags gfp) (uint64, error) {
	return c.allocFrom(c.s.k.Heap, o, align, flags)
}

func (c *request) allocFrom(heap *emu.Heap, o object, align uint64, flags gfp) (uint64, error) {
	o.heap = heap
	if c.s.failing.fails(c, o.size, flags) {
		return 0, nil
	}
	zone := uint64(minZone)
	if o.kind == ofPages {
		zone = 0 // pages follow one another
	}
	addr, err := heap.AllocZoned(c.allocated(), o.size, max(align, minAlign), zone)
	if err != nil {
		return 0, err
	}
	o.room = roomOf(o.size, zone)
	if err := c.s.mark(addr, &o); err != nil {
		return 0, err
	}
	if flags&gfpZero == 0 {
		if err := c.s.fill(addr, o.size, kernel.PoisonInUse); err != nil {
			return 0, err
		}
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	c.s.objects.add(addr, &o)
	if o.cache != nil {
		o.cache.live++
	}
	return addr, nil
}

// allocated names what the request allocates.
func (c *request) allocated() string { return "what " + cmp.Or(c.caller(), "the call") + " allocated" }

// add adds a live object; mu is held.
func (o *objects) add(addr uint64, obj *object) {
	if o.live == nil {
		o.live = make(map[uint64]*object)
	}
	o.live[addr] = obj
}

// fill writes a word to size bytes.
func (s *Services) fill(addr, size, word uint64) error {
	if size > math.MaxInt-8 {
		return fmt.Errorf("%#x bytes: %w", size, errno.ENOMEM)
	}
	b := make([]byte, (size+7)&^7)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], word)
	}
	return s.k.Mem.Write(addr, b[:size])
}

// find finds the live object at addr; mu is held.
func (c *request) find(addr uint64) (*object, error) {
	o, ok := c.s.objects.live[addr]
	if !ok {
		return nil, c.notLive(addr)
	}
	return o, nil
}

// notLive is the error of an address where no live object begins; mu is held.
func (c *request) notLive(addr uint64) error {
	in, _ := c.s.k.Heap.Lookup(addr)
	for _, k := range c.s.objects.caches {
		in.Freed = in.Freed || slices.Contains(k.parked, in.Addr)
	}
	return &FreeError{Func: c.r.Name, Caller: c.caller(), Addr: addr, How: c.how, Object: in}
}

// free gives back an object of one of the kinds. NULL and ZERO_SIZE_PTR are none.
func (c *request) free(addr uint64, kinds ...kind) error {
	return c.freeIf(addr, func(o *object) bool { return slices.Contains(kinds, o.kind) })
}

// freeIf gives back an object that is the function's to free.
func (c *request) freeIf(addr uint64, own func(o *object) bool) error {
	if addr <= zeroSizePtr {
		return nil
	}
	o, err := c.takeBack(addr, own)
	if err == nil {
		err = c.overrun(addr, o)
	}
	if err != nil || o.cache != nil && o.cache.byRCU {
		return err
	}
	return o.heap.Free(addr)
}

// takeBack takes an object from the live ones. That of a cache by RCU stays in its cache
// as it is.
func (c *request) takeBack(addr uint64, own func(o *object) bool) (*object, error) {
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	o, err := c.find(addr)
	if err != nil {
		return nil, err
	}
	if !own(o) {
		return nil, c.notOwn(addr, o)
	}
	delete(c.s.objects.live, addr)
	if o.cache == nil {
		return o, nil
	}
	o.cache.live--
	if o.cache.byRCU {
		o.cache.parked = append(o.cache.parked, addr)
	}
	return o, nil
}

// owned is an error unless there is a live object at addr that is the function's to free.
func (c *request) owned(addr uint64, own func(o *object) bool) error {
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	o, err := c.find(addr)
	if err == nil && !own(o) {
		err = c.notOwn(addr, o)
	}
	return err
}

// size is how large an object is; that of NULL and ZERO_SIZE_PTR is 0.
func (c *request) size(addr uint64) (uint64, error) {
	if addr <= zeroSizePtr {
		return 0, nil
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	o, err := c.find(addr)
	if err != nil {
		return 0, err
	}
	return o.size, nil
}

// realloc gives an object of another size with what was in the old one, which is one
// of the kinds. One that gets no larger stays where it is, so that shrinking never
// fails (mm/slub.c, __do_krealloc).
func (c *request) realloc(old uint64, o object, align uint64, flags gfp, kinds ...kind) (uint64, error) {
	if old <= zeroSizePtr {
		return c.alloc(o, align, flags)
	}
	had, stays, err := c.resize(old, o.size, align, kinds)
	if err != nil {
		return 0, err
	}
	if stays {
		return old, nil
	}
	addr, err := c.alloc(o, align, flags)
	if err != nil || addr == 0 {
		return 0, err
	}
	kept := make([]byte, had)
	if err := c.s.k.Mem.Read(old, kept); err != nil {
		return 0, err
	}
	if err := c.s.k.Mem.Write(addr, kept); err != nil {
		return 0, err
	}
	return addr, c.free(old, kinds...)
}

// resize makes an object smaller in place, where it is aligned. had is how large it
// was.
func (c *request) resize(addr, size, align uint64, kinds []kind) (had uint64, stays bool, err error) {
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	o, err := c.find(addr)
	if err != nil {
		return 0, false, err
	}
	if !slices.Contains(kinds, o.kind) {
		return 0, false, c.notOwn(addr, o)
	}
	had = o.size
	if stays = size <= had && addr&(align-1) == 0; !stays {
		return had, false, nil
	}
	if err := c.overrun(addr, o); err != nil {
		return 0, false, err
	}
	o.size = size
	return had, true, c.s.mark(addr, o)
}

// notOwn is the error of an object that the function must not free.
func (c *request) notOwn(addr uint64, o *object) error {
	in, _ := c.s.k.Heap.Lookup(addr)
	return &FreeError{Func: c.r.Name, Caller: c.caller(), Addr: addr, How: c.how, Object: in, Owner: o.owner()}
}
