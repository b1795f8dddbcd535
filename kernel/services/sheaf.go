package services

// enomem is ENOMEM as guest code has it, whatever the host's is
// (include/uapi/asm-generic/errno-base.h).
const enomem = 12

// sheaf is objects that a cache has set aside for a caller that must not fail later
// (struct slab_sheaf, mm/slub.c, since 6.18).
type sheaf struct {
	cache   *cache
	objects []uint64
}

// sheafPrefill is kmem_cache_prefill_sheaf(s, gfp, n).
func sheafPrefill(c *request) (uint64, error) {
	k, err := c.cache(c.args[0])
	if err != nil {
		return 0, err
	}
	n := uint64(uint32(c.args[2]))
	objects, err := c.allocAll(k, c.flags(1), n)
	if err != nil || len(objects) == 0 && n > 0 {
		return 0, err
	}
	addr, err := c.s.k.Heap.Alloc("sheaf of cache "+k.name, minCache)
	if err != nil {
		return 0, err
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	if c.s.objects.sheaves == nil {
		c.s.objects.sheaves = make(map[uint64]*sheaf)
	}
	c.s.objects.sheaves[addr] = &sheaf{k, objects}
	return addr, nil
}

// sheaf finds a sheaf.
func (c *request) sheaf(addr uint64) (*sheaf, error) {
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	if s, ok := c.s.objects.sheaves[addr]; ok {
		return s, nil
	}
	in, _ := c.s.k.Heap.Lookup(addr)
	return nil, &FreeError{Func: c.r.Name, Caller: c.caller(), Addr: addr, Object: in}
}

// sheafRefill is kmem_cache_refill_sheaf(s, gfp, sheaf **, n): 0, or -ENOMEM and the
// sheaf is as it was.
func sheafRefill(c *request) (uint64, error) {
	addr, err := c.s.k.Mem.Load64(c.args[2])
	if err != nil {
		return 0, err
	}
	s, err := c.sheaf(addr)
	if err != nil {
		return 0, err
	}
	have, want := uint64(len(s.objects)), uint64(uint32(c.args[3]))
	if want <= have {
		return 0, nil
	}
	objects, err := c.allocAll(s.cache, c.flags(1), want-have)
	if err != nil {
		return 0, err
	}
	if len(objects) == 0 {
		return negative(enomem), nil
	}
	s.objects = append(s.objects, objects...)
	return 0, nil
}

// sheafReturn is kmem_cache_return_sheaf(s, gfp, sheaf): what is left goes back.
func sheafReturn(c *request) (uint64, error) {
	s, err := c.sheaf(c.args[2])
	if err != nil {
		return 0, err
	}
	for _, addr := range s.objects {
		if err := c.freeOf(s.cache, addr); err != nil {
			return 0, err
		}
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	delete(c.s.objects.sheaves, c.args[2])
	return 0, c.s.k.Heap.Free(c.args[2])
}

// sheafAlloc is kmem_cache_alloc_from_sheaf(s, gfp, sheaf): NULL once it is empty.
func sheafAlloc(c *request) (uint64, error) {
	s, err := c.sheaf(c.args[2])
	if err != nil || len(s.objects) == 0 {
		return 0, err
	}
	last := len(s.objects) - 1
	addr := s.objects[last]
	s.objects = s.objects[:last]
	if c.flags(1)&gfpZero != 0 {
		return addr, c.s.fill(addr, s.cache.size, 0)
	}
	return addr, nil
}

// sheafSize is kmem_cache_sheaf_size(sheaf).
func sheafSize(c *request) (uint64, error) {
	s, err := c.sheaf(c.args[0])
	if err != nil {
		return 0, err
	}
	return uint64(len(s.objects)), nil
}
