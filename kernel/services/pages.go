package services

// pageRows is the page allocator by address (mm/page_alloc.c). What gives out a struct
// page ends the call.
var pageRows = []row{
	{pageAllocator, []string{"__get_free_pages", "get_free_pages_noprof"}, serving(getFreePages)},
	{pageAllocator, []string{"get_zeroed_page", "get_zeroed_page_noprof"}, serving(getZeroedPage)},
	{pageAllocator, []string{"free_pages"}, serving(freePages)},
	{pageAllocator, []string{"alloc_pages_exact", "alloc_pages_exact_noprof"}, serving(allocPagesExact)},
	{pageAllocator, []string{"alloc_pages_exact_nid", "alloc_pages_exact_nid_noprof"}, serving(allocPagesExactNid)},
	{pageAllocator, []string{"free_pages_exact"}, serving(freePagesExact)},
	{pageAllocator, []string{
		"__alloc_pages", "__alloc_pages_noprof",
		"alloc_pages", "alloc_pages_noprof",
		"alloc_pages_node_noprof", "alloc_pages_nolock_noprof",
		"alloc_pages_mpol", "alloc_pages_mpol_noprof",
		"alloc_frozen_pages_noprof", "__alloc_frozen_pages_noprof", "alloc_frozen_pages_nolock_noprof",
		"__folio_alloc", "__folio_alloc_noprof",
		"folio_alloc", "folio_alloc_noprof",
		"folio_alloc_mpol_noprof",
		"vma_alloc_folio", "vma_alloc_folio_noprof",
		"__alloc_pages_bulk", "alloc_pages_bulk_noprof",
		"alloc_pages_bulk_array_mempolicy", "alloc_pages_bulk_array_mempolicy_noprof", "alloc_pages_bulk_mempolicy_noprof",
		"alloc_contig_range", "alloc_contig_range_noprof", "alloc_contig_frozen_range_noprof",
		"alloc_contig_pages", "alloc_contig_pages_noprof", "alloc_contig_frozen_pages_noprof",
	}, noAllocator},
}

const pageAllocator = "page allocator"

// maxOrder is MAX_PAGE_ORDER, the order of the largest piece (arch/arm64/Kconfig,
// ARCH_FORCE_MAX_ORDER).
func (c *request) maxOrder() uint64 {
	switch c.pageSize() {
	case 16 << 10:
		return 11
	case 64 << 10:
		return 13
	}
	return 10
}

// getFreePages is __get_free_pages(gfp, order).
func getFreePages(c *request) (uint64, error) {
	return c.allocPages(uint64(uint32(c.args[1])), c.flags(0))
}

// getZeroedPage is get_zeroed_page(gfp).
func getZeroedPage(c *request) (uint64, error) { return c.allocPages(0, c.flags(0)|gfpZero) }

// allocPages gives out a piece of 2^order pages, aligned to its size; NULL where no
// piece is so large.
func (c *request) allocPages(order uint64, flags gfp) (uint64, error) {
	if order > c.maxOrder() {
		return 0, nil
	}
	size := c.pageSize() << order
	return c.alloc(object{size: size, kind: ofPages}, size, flags)
}

// freePages is free_pages(addr, order): the order is the piece's.
func freePages(c *request) (uint64, error) {
	return c.freeSized(c.pageSize() << min(uint64(uint32(c.args[1])), 32))
}

func (c *request) freeSized(size uint64) (uint64, error) {
	return 0, c.freeIf(c.args[0], func(o *object) bool { return o.kind == ofPages && o.size == size })
}

// allocPagesExact is alloc_pages_exact(size, gfp).
func allocPagesExact(c *request) (uint64, error) { return c.allocExact(c.args[0], c.flags(1)) }

// allocPagesExactNid is alloc_pages_exact_nid(nid, size, gfp).
func allocPagesExactNid(c *request) (uint64, error) { return c.allocExact(c.args[1], c.flags(2)) }

func (c *request) allocExact(size uint64, flags gfp) (uint64, error) {
	if size == 0 || size > c.kmallocMax() {
		return 0, nil
	}
	return c.alloc(object{size: c.pageUp(size), kind: ofPages}, c.pageSize(), flags)
}

// freePagesExact is free_pages_exact(addr, size).
func freePagesExact(c *request) (uint64, error) { return c.freeSized(c.pageUp(c.args[1])) }

func (c *request) pageUp(n uint64) uint64 { return (n + c.pageSize() - 1) &^ (c.pageSize() - 1) }
