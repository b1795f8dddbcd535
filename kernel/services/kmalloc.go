package services

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// zeroSizePtr is ZERO_SIZE_PTR: what an object of no bytes has for its address
// (include/linux/slab.h).
const zeroSizePtr = 16

// minAlign is that of every object (ARCH_KMALLOC_MINALIGN is 8 at least).
const minAlign = 16

// kmallocRows is kmalloc and its variants (mm/slub.c, mm/slab_common.c, mm/util.c).
// Between versions the gfp_t of some moves.
var kmallocRows = []row{
	{slab, []string{
		"__kmalloc", "__kmalloc_noprof",
		"__kmalloc_track_caller", "__kmalloc_track_caller_noprof",
		"__kmalloc_flags_noprof", "_kmalloc_nolock_noprof", "kmalloc_nolock_noprof", "__kmalloc_nolock_noprof",
		"kmalloc_order", "kmalloc_order_trace",
		"kmalloc_large", "kmalloc_large_noprof", "__kmalloc_large_noprof",
		"kmalloc_large_node", "kmalloc_large_node_noprof", "__kmalloc_large_node_noprof",
	}, kmalloc(0, 1)},
	{slab, []string{"__kmalloc_node", "__kmalloc_node_noprof"}, kmallocNode},
	{slab, []string{"__kmalloc_node_track_caller", "__kmalloc_node_track_caller_noprof"}, kmallocNodeTrack},
	// From a cache that the compiler chose.
	{slab, []string{"kmalloc_trace", "kmalloc_trace_noprof", "__kmalloc_cache_noprof"}, kmalloc(2, 1)},
	{slab, []string{"kmalloc_node_trace", "kmalloc_node_trace_noprof", "__kmalloc_cache_node_noprof"}, kmalloc(3, 1)},
	{slab, []string{"kvmalloc_node", "kvmalloc_node_noprof", "__kvmalloc_node_noprof"}, serving(kvmalloc)},
	{slab, []string{"krealloc", "krealloc_noprof"}, serving(krealloc)},
	{slab, []string{"krealloc_node_align_noprof"}, serving(kreallocAlign)},
	{slab, []string{"kvrealloc", "kvrealloc_noprof"}, serving(kvrealloc)},
	{slab, []string{"kvrealloc_node_align_noprof"}, serving(kvreallocAlign)},
	{slab, []string{"kfree", "kfree_sensitive", "kfree_nolock"}, serving(kfree)},
	{slab, []string{"kvfree", "kvfree_sensitive", "kvfree_atomic"}, serving(kvfree)},
	{slab, []string{"ksize", "__ksize"}, serving(ksize)},
	{slab, []string{"kmalloc_size_roundup"}, serving(sizeRoundup)},
}

const slab = "slab allocator"

// kmalloc makes functions that allocate as many bytes as register xsize says.
func kmalloc(size, flags int) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) { return c.kmalloc(c.args[size], c.flags(flags)) })
}

func kmallocNode(s *Services, r Replaced) emu.GateFunc {
	return kmalloc(0, s.allocFlags().KmallocNode)(s, r)
}

func kmallocNodeTrack(s *Services, r Replaced) emu.GateFunc {
	return kmalloc(0, s.allocFlags().KmallocNodeTrack)(s, r)
}

// kvmalloc gives an object that begins at a page: some versions pass an
// alignment, which is none of more. What fits a page is kmalloc's.
func kvmalloc(c *request) (uint64, error) {
	size := c.args[0]
	if size == 0 {
		return zeroSizePtr, nil
	}
	if size > maxInt {
		return 0, nil
	}
	return c.alloc(c.kv(size), c.pageSize(), c.flags(c.s.allocFlags().KvmallocNode))
}

// maxInt is INT_MAX, more than which kvmalloc refuses.
const maxInt = 1<<31 - 1

// kv is an object of kvmalloc.
func (c *request) kv(size uint64) object {
	if size <= c.pageSize() {
		return object{size: size, kind: ofKmalloc}
	}
	return object{size: size, kind: ofKvmalloc}
}

// krealloc is krealloc(p, new_size, flags).
func krealloc(c *request) (uint64, error) { return c.krealloc(0, c.flags(2)) }

// kreallocAlign is krealloc_node_align(p, new_size, align, flags, nid).
func kreallocAlign(c *request) (uint64, error) { return c.krealloc(c.args[2], c.flags(3)) }

func (c *request) krealloc(align uint64, flags gfp) (uint64, error) {
	old, size := c.args[0], c.args[1]
	if align&(align-1) != 0 {
		return 0, fmt.Errorf("%s: alignment %#x: %w", c.r.Name, align, errno.EINVAL)
	}
	switch {
	case size == 0:
		return zeroSizePtr, c.free(old, ofKmalloc, ofCache)
	case size > c.kmallocMax():
		return 0, nil
	}
	return c.realloc(old, object{size: size}, max(align, c.naturalAlign(size)), flags, ofKmalloc, ofCache)
}

// kvrealloc is kvrealloc(p, size, flags), and until 6.10 kvrealloc(p, old, size,
// flags).
func kvrealloc(c *request) (uint64, error) {
	at := c.s.allocFlags().Kvrealloc
	if at < 2 || at >= len(c.args) {
		return 0, &NoAllocatorError{Func: c.r.Name, Caller: c.caller()}
	}
	return c.kvrealloc(c.args[at-1], 0, c.flags(at))
}

// kvreallocAlign is kvrealloc_node_align(p, size, align, flags, nid).
func kvreallocAlign(c *request) (uint64, error) { return c.kvrealloc(c.args[1], c.args[2], c.flags(3)) }

func (c *request) kvrealloc(size, align uint64, flags gfp) (uint64, error) {
	if align&(align-1) != 0 {
		return 0, fmt.Errorf("%s: alignment %#x: %w", c.r.Name, align, errno.EINVAL)
	}
	switch {
	case size == 0:
		return zeroSizePtr, c.free(c.args[0], kvKinds...)
	case size > maxInt:
		return 0, nil
	}
	return c.realloc(c.args[0], c.kv(size), max(align, c.pageSize()), flags, kvKinds...)
}

// kvKinds are what kvfree frees.
var kvKinds = []kind{ofKmalloc, ofKvmalloc, ofCache, ofVmalloc}

// kfree frees objects of caches too, as SLUB's does.
func kfree(c *request) (uint64, error) { return 0, c.free(c.args[0], ofKmalloc, ofCache) }

func kvfree(c *request) (uint64, error) { return 0, c.free(c.args[0], kvKinds...) }

func ksize(c *request) (uint64, error) { return c.size(c.args[0]) }

// sizeRoundup is kmalloc_size_roundup: an object is as large as was asked for.
func sizeRoundup(c *request) (uint64, error) { return c.args[0], nil }

// kmalloc allocates what only the size says. Of more than KMALLOC_MAX_SIZE there is
// none.
func (c *request) kmalloc(size uint64, flags gfp) (uint64, error) {
	switch {
	case size == 0:
		return zeroSizePtr, nil
	case size > c.kmallocMax():
		return 0, nil
	}
	return c.alloc(object{size: size}, c.naturalAlign(size), flags)
}

// kmallocMax is KMALLOC_MAX_SIZE: as much as the page allocator has in one piece.
func (c *request) kmallocMax() uint64 { return c.pageSize() << c.maxOrder() }

// naturalAlign is the alignment that kmalloc promises: to the largest power of two
// that divides the size, and to a page where it is larger than that.
func (c *request) naturalAlign(size uint64) uint64 {
	page := c.pageSize()
	if size > page {
		return page
	}
	return max(minAlign, size&-size)
}
