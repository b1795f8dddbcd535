package services

import (
	"context"
	"encoding/binary"
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// cacheRows is kmem_cache (mm/slab_common.c, mm/slub.c).
var cacheRows = []row{
	{slabCaches, []string{"kmem_cache_create"}, serving(cacheCreate(4))},
	{slabCaches, []string{"kmem_cache_create_usercopy"}, serving(cacheCreate(6))},
	{slabCaches, []string{"__kmem_cache_create_args"}, serving(cacheCreateArgs)},
	{slabCaches, []string{"kmem_cache_destroy"}, serving(cacheDestroy)},
	{slabCaches, []string{"kmem_cache_shrink"}, serving(func(c *request) (uint64, error) { return 0, nil })},
	{slabCaches, []string{
		"kmem_cache_alloc", "kmem_cache_alloc_noprof",
		"kmem_cache_alloc_node", "kmem_cache_alloc_node_noprof", "__kmem_cache_alloc_node",
	}, cacheAlloc(1)},
	{slabCaches, []string{"kmem_cache_alloc_lru", "kmem_cache_alloc_lru_noprof"}, cacheAlloc(2)},
	{slabCaches, []string{"kmem_cache_alloc_bulk", "kmem_cache_alloc_bulk_noprof"}, serving(cacheAllocBulk)},
	{slabCaches, []string{"kmem_cache_free"}, serving(cacheFree)},
	{slabCaches, []string{"kmem_cache_free_bulk"}, serving(cacheFreeBulk)},
	{slabCaches, []string{"kmem_cache_prefill_sheaf"}, serving(sheafPrefill)},
	{slabCaches, []string{"kmem_cache_refill_sheaf"}, serving(sheafRefill)},
	{slabCaches, []string{"kmem_cache_return_sheaf"}, serving(sheafReturn)},
	{slabCaches, []string{"kmem_cache_alloc_from_sheaf_noprof"}, serving(sheafAlloc)},
	{slabCaches, []string{"kmem_cache_sheaf_size"}, serving(sheafSize)},
}

const slabCaches = "slab caches"

// cache is a kmem_cache. Caches are not merged.
type cache struct {
	addr  uint64 // of its struct kmem_cache, which holds what inlined code reads
	name  string
	size  uint64 // of an object, in bytes
	align uint64
	ctor  uint64
	byRCU bool // SLAB_TYPESAFE_BY_RCU: what is freed can still be read

	static bool // its structure is not on the heap

	// Guarded by objects.mu.
	live   int
	parked []uint64 // freed objects of one that is byRCU
}

// Flags of kmem_cache_create (include/linux/slab.h). They were renumbered in 6.9, as
// the bits of an enum.
const (
	slabPanic, slabByRCU       = 1 << 8, 1 << 9
	slabPanicOld, slabByRCUOld = 0x40000, 0x80000
)

// slabFlags are SLAB_PANIC and SLAB_TYPESAFE_BY_RCU.
func (s *Services) slabFlags() (panics, byRCU uint64) {
	if s.k.Layout.Slab.OldFlags {
		return slabPanicOld, slabByRCUOld
	}
	return slabPanic, slabByRCU
}

// cacheRoom is how much room a cache's structure takes up, in bytes.
func (s *Services) cacheRoom() uint64 {
	return uint64(max(s.k.Layout.Slab.Cache.Size, minCache)+7) &^ 7
}

// CacheError is a cache that is taken away while guest code has objects of it. It
// matches EBUSY.
type CacheError struct {
	Cache  string
	Caller string // what called kmem_cache_destroy, as %pS; "" where the call itself did
	Live   int
	Object emu.Object // one of them, that with the lowest address
}

func (e *CacheError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	return fmt.Sprintf("kmem_cache_destroy of %s%s, which still has %d objects: %s (%#x) is one", e.Cache, by, e.Live, e.Object.Name, e.Object.Addr)
}

// Is reports EBUSY.
func (e *CacheError) Is(target error) bool { return target == errno.EBUSY }

// cacheCreate makes kmem_cache_create(name, size, align, flags, ..., ctor).
func cacheCreate(ctor int) func(c *request) (uint64, error) {
	return func(c *request) (uint64, error) {
		return c.createCache(c.args[1], c.args[2], c.args[3], c.args[ctor])
	}
}

// cacheCreateArgs is __kmem_cache_create_args(name, size, args, flags).
func cacheCreateArgs(c *request) (uint64, error) {
	args := c.s.k.Layout.Slab.Args
	if args.Align < 0 || args.Ctor < 0 {
		return 0, &NoAllocatorError{Func: c.r.Name, Caller: c.caller(), What: "struct kmem_cache_args is not known"}
	}
	align, err := c.s.k.Mem.Load32(c.args[2] + uint64(args.Align))
	if err != nil {
		return 0, err
	}
	ctor, err := c.s.k.Mem.Load64(c.args[2] + uint64(args.Ctor))
	if err != nil {
		return 0, err
	}
	return c.createCache(c.args[1], uint64(align), c.args[3], ctor)
}

// createCache makes a cache named after the string at x0. EINVAL: it has no name, or its
// objects are too large or oddly aligned.
func (c *request) createCache(size, align, flags, ctor uint64) (uint64, error) {
	size, align = uint64(uint32(size)), uint64(uint32(align))
	if c.args[0] == 0 || size > c.kmallocMax() || align&(align-1) != 0 {
		return 0, fmt.Errorf("%s: objects of %d bytes, aligned to %d: %w", c.r.Name, size, align, errno.EINVAL)
	}
	name, err := c.s.k.Mem.ReadString(c.args[0], maxCacheName)
	if err != nil {
		return 0, err
	}
	panics, byRCU := c.s.slabFlags()
	room := c.s.cacheRoom()
	if flags&panics == 0 && c.s.failing.fails(c, room, 0) {
		return 0, nil
	}
	addr, err := c.s.k.Heap.Alloc("cache "+name, room+uint64(len(name))+1)
	if err != nil {
		return 0, err
	}
	k := &cache{addr: addr, name: name, size: size, align: max(align, minAlign), ctor: ctor, byRCU: flags&byRCU != 0}
	return addr, c.s.addCache(k, flags, room)
}

// Bounds on a cache.
const (
	minCache     = 64   // bytes of its structure, where its size is not known
	maxCacheName = 4096 // bytes
)

// addCache fills in a cache's structure, of room bytes, which its name follows.
func (s *Services) addCache(k *cache, flags, room uint64) error {
	b := make([]byte, room, room+uint64(len(k.name))+1)
	if l := s.k.Layout.Slab.Cache; l.Size != 0 {
		for off, v := range map[int]uint64{l.Flags: flags, l.ObjSize: k.size, l.ObjectSize: k.size, l.Inuse: k.size, l.Align: k.align, l.RefCount: 1} {
			if off >= 0 {
				binary.LittleEndian.PutUint32(b[off:], uint32(v))
			}
		}
		for off, v := range map[int]uint64{l.Ctor: k.ctor, l.Name: k.addr + room} {
			if off >= 0 && off+8 <= len(b) {
				binary.LittleEndian.PutUint64(b[off:], v)
			}
		}
	}
	if err := s.k.Mem.Write(k.addr, append(append(b, k.name...), 0)); err != nil {
		return err
	}
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	if s.objects.caches == nil {
		s.objects.caches = make(map[uint64]*cache)
	}
	s.objects.caches[k.addr] = k
	return nil
}

// cache finds the cache at addr.
func (c *request) cache(addr uint64) (*cache, error) {
	if addr == 0 {
		if k, err := c.bootCache(); k != nil || err != nil {
			return k, err
		}
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	k, ok := c.s.objects.caches[addr]
	if !ok {
		what := fmt.Sprintf("there is no cache at %#x", addr)
		if addr == 0 {
			what = "the cache, which boot makes, is NULL"
		}
		return nil, &NoAllocatorError{Func: c.r.Name, Caller: c.caller(), What: what}
	}
	return k, nil
}

// cacheDestroy is kmem_cache_destroy(s).
func cacheDestroy(c *request) (uint64, error) {
	if c.args[0] == 0 {
		return 0, nil
	}
	k, err := c.cache(c.args[0])
	if err != nil {
		return 0, err
	}
	if err := c.forget(k); err != nil {
		return 0, err
	}
	gone := k.parked
	if !k.static {
		gone = append(gone, k.addr)
	}
	for _, addr := range gone {
		if err := c.s.k.Heap.Free(addr); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// forget takes a cache that has no live objects from the known ones.
func (c *request) forget(k *cache) error {
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	if k.live > 0 {
		return &CacheError{Cache: k.name, Caller: c.caller(), Live: k.live, Object: c.firstOf(k)}
	}
	delete(c.s.objects.caches, k.addr)
	return nil
}

// firstOf is the live object of a cache with the lowest address; mu is held.
func (c *request) firstOf(k *cache) emu.Object {
	var first emu.Object
	for addr, o := range c.s.objects.live {
		if o.cache == k && (first.Name == "" || addr < first.Addr) {
			first, _ = c.s.k.Heap.Lookup(addr)
		}
	}
	return first
}

// cacheAlloc makes kmem_cache_alloc(s, ..., flags, ...).
func cacheAlloc(flags int) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) {
		k, err := c.cache(c.args[0])
		if err != nil {
			return 0, err
		}
		return c.allocOf(k, c.flags(flags))
	})
}

// allocOf gives out an object of a cache, constructed where it has a constructor. One
// that was freed and can still be read is given out as it is.
func (c *request) allocOf(k *cache, flags gfp) (uint64, error) {
	if addr := c.unpark(k); addr != 0 {
		return c.again(k, addr, flags)
	}
	addr, err := c.alloc(object{size: k.size, kind: ofCache, cache: k}, k.align, flags)
	if err != nil || addr == 0 || k.ctor == 0 {
		return addr, err
	}
	if _, err := c.s.k.Caller().Call(context.Background(), c.cpu, nil, k.ctor, addr); err != nil {
		return 0, fmt.Errorf("constructor of %s: %w", k.name, err)
	}
	return addr, nil
}

// unpark takes an object that was freed last; 0: there is none.
func (c *request) unpark(k *cache) uint64 {
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	n := len(k.parked) - 1
	if n < 0 {
		return 0
	}
	addr := k.parked[n]
	k.parked = k.parked[:n]
	return addr
}

// again gives out an object that was parked; it is so again where the allocation is to
// fail.
func (c *request) again(k *cache, addr uint64, flags gfp) (uint64, error) {
	failed := c.s.failing.fails(c, k.size, flags)
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	if failed {
		k.parked = append(k.parked, addr)
		return 0, nil
	}
	c.s.objects.add(addr, &object{size: k.size, room: roomOf(k.size, minZone), kind: ofCache, cache: k, heap: c.s.k.Heap})
	k.live++
	if flags&gfpZero != 0 {
		return addr, c.s.fill(addr, k.size, 0)
	}
	return addr, nil
}

// cacheAllocBulk is kmem_cache_alloc_bulk(s, flags, n, objects). It counts as one
// allocation, and gives all or none.
func cacheAllocBulk(c *request) (uint64, error) {
	k, err := c.cache(c.args[0])
	if err != nil {
		return 0, err
	}
	objects, err := c.allocAll(k, c.flags(1), c.args[2])
	for i, addr := range objects {
		if err := c.s.k.Mem.Store64(c.args[3]+8*uint64(i), addr); err != nil {
			return 0, err
		}
	}
	return uint64(len(objects)), err
}

// allocAll gives n objects of a cache; none where the allocation is to fail.
func (c *request) allocAll(k *cache, flags gfp, n uint64) ([]uint64, error) {
	if n == 0 || c.s.failing.fails(c, k.size*n, flags) {
		return nil, nil
	}
	var objects []uint64
	for range n {
		addr, err := c.allocOf(k, flags|gfpNoFail)
		if err != nil {
			return nil, err
		}
		objects = append(objects, addr)
	}
	return objects, nil
}

// cacheFree is kmem_cache_free(s, object).
func cacheFree(c *request) (uint64, error) {
	if c.args[0] == 0 { // the object tells
		return 0, c.freeIf(c.args[1], func(o *object) bool { return o.cache != nil && o.cache.static })
	}
	k, err := c.cache(c.args[0])
	if err != nil {
		return 0, err
	}
	return 0, c.freeOf(k, c.args[1])
}

func (c *request) freeOf(k *cache, addr uint64) error {
	return c.freeIf(addr, func(o *object) bool { return o.cache == k })
}

// cacheFreeBulk is kmem_cache_free_bulk(s, n, objects); without a cache they are
// kmalloc's (kfree_bulk).
func cacheFreeBulk(c *request) (uint64, error) {
	free := func(addr uint64) error { return c.free(addr, ofKmalloc, ofCache) }
	if c.args[0] != 0 {
		k, err := c.cache(c.args[0])
		if err != nil {
			return 0, err
		}
		free = func(addr uint64) error { return c.freeOf(k, addr) }
	}
	for i := range c.args[1] {
		p, err := c.s.k.Mem.Load64(c.args[2] + 8*i)
		if err != nil {
			return 0, err
		}
		if err := free(p); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
