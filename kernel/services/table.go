package services

import "callops/emu"

// row is functions of the kernel that one Go function stands in for.
type row struct {
	what  string // also the gates' name, which begins their errors
	names []string
	// serve makes the Go function that replaces r; nil: r stays as it is.
	serve func(s *Services, r Replaced) emu.GateFunc
}

// table is what is replaced. Functions that only report are named from the outermost
// down, so that the error tells of the one that the caller called, and so that
// nothing before the lowest one runs into what is not booted. Names change: until
// 6.9 without _noprof, __kmalloc_cache was kmalloc_trace until 6.10.
var table = []row{
	{"slab allocator", []string{ // of x0 bytes
		"__kmalloc", "__kmalloc_noprof",
		"__kmalloc_node", "__kmalloc_node_noprof",
		"__kmalloc_node_track_caller", "__kmalloc_node_track_caller_noprof",
		"__kmalloc_track_caller", "__kmalloc_track_caller_noprof",
		"__kmalloc_flags_noprof", "_kmalloc_nolock_noprof", "kmalloc_nolock_noprof", "__kmalloc_nolock_noprof",
		"kmalloc_order", "kmalloc_order_trace",
		"kmalloc_large", "kmalloc_large_noprof", "__kmalloc_large_noprof",
		"kmalloc_large_node", "kmalloc_large_node_noprof", "__kmalloc_large_node_noprof",
	}, kmalloc(0)},
	{"slab allocator", []string{ // of x2, from a cache that the compiler chose
		"kmalloc_trace", "kmalloc_trace_noprof", "__kmalloc_cache_noprof",
	}, kmalloc(2)},
	{"slab allocator", []string{"kmalloc_node_trace", "kmalloc_node_trace_noprof", "__kmalloc_cache_node_noprof"}, kmalloc(3)},
	{"slab allocator", []string{"kvmalloc_node", "kvmalloc_node_noprof", "__kvmalloc_node_noprof"}, onHeap(kvmalloc)},
	{"slab allocator", []string{"krealloc", "krealloc_noprof"}, onHeap(krealloc)},
	{"slab allocator", []string{"krealloc_node_align_noprof"}, onHeap(kreallocAlign)},
	{"slab allocator", []string{"kvrealloc_node_align_noprof"}, onHeap(kvreallocAlign)},
	{"slab allocator", []string{"kfree", "kfree_sensitive", "kfree_nolock", "kvfree", "kvfree_sensitive", "kvfree_atomic"}, onHeap(kfree)},
	{"slab allocator", []string{"kmem_cache_free_bulk"}, onHeap(freeBulk)},
	{"slab allocator", []string{"ksize", "__ksize"}, onHeap(ksize)},
	{"slab allocator", []string{"kmalloc_size_roundup"}, onHeap(sizeRoundup)},
	{"slab caches", []string{
		"kvrealloc", "kvrealloc_noprof", // whose arguments changed under the same name
		"kmem_cache_alloc", "kmem_cache_alloc_noprof",
		"kmem_cache_alloc_lru", "kmem_cache_alloc_lru_noprof",
		"kmem_cache_alloc_node", "kmem_cache_alloc_node_noprof", "__kmem_cache_alloc_node",
		"kmem_cache_alloc_bulk", "kmem_cache_alloc_bulk_noprof",
		"kmem_cache_alloc_from_sheaf_noprof", "kmem_cache_prefill_sheaf", "kmem_cache_refill_sheaf",
		"kmem_cache_create", "kmem_cache_create_usercopy", "__kmem_cache_create_args",
	}, noAllocator},
	{"page allocator", []string{
		"__alloc_pages", "__alloc_pages_noprof",
		"alloc_pages", "alloc_pages_noprof",
		"alloc_pages_node_noprof", "alloc_pages_nolock_noprof",
		"alloc_pages_mpol", "alloc_pages_mpol_noprof",
		"alloc_frozen_pages_noprof", "__alloc_frozen_pages_noprof", "alloc_frozen_pages_nolock_noprof",
		"__folio_alloc", "__folio_alloc_noprof",
		"folio_alloc", "folio_alloc_noprof",
		"folio_alloc_mpol_noprof",
		"vma_alloc_folio", "vma_alloc_folio_noprof",
		"__get_free_pages", "get_free_pages_noprof",
		"get_zeroed_page", "get_zeroed_page_noprof",
		"alloc_pages_exact", "alloc_pages_exact_noprof",
		"alloc_pages_exact_nid", "alloc_pages_exact_nid_noprof",
		"__alloc_pages_bulk", "alloc_pages_bulk_noprof",
		"alloc_pages_bulk_array_mempolicy", "alloc_pages_bulk_array_mempolicy_noprof", "alloc_pages_bulk_mempolicy_noprof",
		"alloc_contig_range", "alloc_contig_range_noprof", "alloc_contig_frozen_range_noprof",
		"alloc_contig_pages", "alloc_contig_pages_noprof", "alloc_contig_frozen_pages_noprof",
	}, noAllocator},
	{"vmalloc", []string{
		"vmalloc", "vmalloc_noprof",
		"vzalloc", "vzalloc_noprof",
		"vmalloc_node", "vmalloc_node_noprof",
		"vzalloc_node", "vzalloc_node_noprof",
		"vmalloc_huge", "vmalloc_huge_noprof", "vmalloc_huge_node_noprof",
		"vmalloc_user", "vmalloc_user_noprof",
		"vmalloc_32", "vmalloc_32_noprof",
		"vmalloc_32_user", "vmalloc_32_user_noprof",
		"vrealloc_noprof", "vrealloc_node_align_noprof",
		"__vmalloc", "__vmalloc_noprof",
		"__vmalloc_node", "__vmalloc_node_noprof",
		"__vmalloc_node_range", "__vmalloc_node_range_noprof",
		"get_vm_area", "get_vm_area_caller", "__get_vm_area_caller", "vmap", "vm_map_ram",
	}, noAllocator},
	{"per-CPU allocator", []string{
		"__alloc_percpu", "__alloc_percpu_gfp", "__alloc_reserved_percpu",
		"pcpu_alloc", "pcpu_alloc_noprof",
	}, noAllocator},
	{"printk", []string{"vprintk_emit"}, printk},
	{"hardened usercopy", []string{"__check_object_size"}, nothing},
}

// nothing makes functions that do nothing. What hardened usercopy asks of a slab or of the linear
// map is not known of objects that lie in neither.
func nothing(*Services, Replaced) emu.GateFunc {
	return func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil }
}
