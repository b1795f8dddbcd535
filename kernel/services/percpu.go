package services

// perCPURows is the per-CPU allocator (mm/percpu.c).
var perCPURows = []row{
	{perCPUAllocator, []string{"__alloc_percpu", "__alloc_reserved_percpu"}, serving(func(c *request) (uint64, error) { return c.allocPerCPU(0) })},
	{perCPUAllocator, []string{"__alloc_percpu_gfp"}, serving(func(c *request) (uint64, error) { return c.allocPerCPU(c.flags(2)) })},
	{perCPUAllocator, []string{"pcpu_alloc", "pcpu_alloc_noprof"}, serving(func(c *request) (uint64, error) { return c.allocPerCPU(c.flags(3)) })},
	{perCPUAllocator, []string{"free_percpu"}, serving(freePerCPU)},
	{perCPUAllocator, []string{"pcpu_alloc_size"}, serving(perCPUSize)},
}

const perCPUAllocator = "per-CPU allocator"

// maxPerCPU is PCPU_MIN_UNIT_SIZE, more than which there never is.
const maxPerCPU = 32 << 10

// allocPerCPU is (size, align): zeroed, whatever the flags. NULL as from the kernel for
// sizes and alignments that it refuses.
func (c *request) allocPerCPU(flags gfp) (uint64, error) {
	size, align := (c.args[0]+3)&^3, max(c.args[1], 4)
	if size == 0 || size > maxPerCPU || align > c.pageSize() || align&(align-1) != 0 || c.s.failing.fails(c, size, flags) {
		return 0, nil
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	addr, err := c.s.k.AllocPerCPU(c.allocated(), size, max(align, minAlign))
	if err != nil {
		return 0, err
	}
	c.s.objects.add(addr+c.s.k.CPUs[0].PerCPU, &object{size: size, kind: ofPerCPU})
	return addr, nil
}

// freePerCPU is free_percpu(p).
func freePerCPU(c *request) (uint64, error) {
	if c.args[0] == 0 {
		return 0, nil
	}
	_, err := c.takeBack(c.args[0]+c.s.k.CPUs[0].PerCPU, func(o *object) bool { return o.kind == ofPerCPU })
	if err != nil {
		return 0, err
	}
	c.s.objects.mu.Lock()
	defer c.s.objects.mu.Unlock()
	return 0, c.s.k.FreePerCPU(c.args[0])
}

// perCPUSize is pcpu_alloc_size(p).
func perCPUSize(c *request) (uint64, error) {
	if c.args[0] == 0 {
		return 0, nil
	}
	return c.size(c.args[0] + c.s.k.CPUs[0].PerCPU)
}
