package services

import (
	"fmt"

	"callops/emu"
)

// pageRows is the page allocator (mm/page_alloc.c, mm/mempolicy.c). free_pages, get_page,
// put_page and what reads a struct page are the kernel's own.
var pageRows = []row{
	{pageAllocator, []string{"__get_free_pages", "get_free_pages_noprof"}, serving(getFreePages)},
	{pageAllocator, []string{"get_zeroed_page", "get_zeroed_page_noprof"}, serving(getZeroedPage)},
	{pageAllocator, []string{"alloc_pages_exact", "alloc_pages_exact_noprof"}, serving(allocPagesExact)},
	{pageAllocator, []string{"alloc_pages_exact_nid", "alloc_pages_exact_nid_noprof"}, serving(allocPagesExactNid)},
	{pageAllocator, []string{"free_pages_exact"}, serving(freePagesExact)},
	{pageAllocator, []string{ // (gfp, order, ...)
		"__alloc_pages", "__alloc_pages_noprof",
		"alloc_pages", "alloc_pages_noprof",
		"alloc_pages_mpol", "alloc_pages_mpol_noprof",
	}, allocPages(1)},
	{pageAllocator, []string{"alloc_frozen_pages_noprof", "__alloc_frozen_pages_noprof"}, allocPages(0)},
	{pageAllocator, []string{
		"__folio_alloc", "__folio_alloc_noprof",
		"folio_alloc", "folio_alloc_noprof",
		"folio_alloc_mpol_noprof",
		"vma_alloc_folio", "vma_alloc_folio_noprof",
	}, serving(allocFolio)},
	{pageAllocator, []string{"__free_pages", "___free_pages"}, serving(freePages)},
	{pageAllocator, []string{"free_unref_page", "free_frozen_pages", "__folio_put"}, serving(freeUnreferenced)},
	{pageAllocator, []string{
		"alloc_pages_node_noprof", "alloc_pages_nolock_noprof", "alloc_frozen_pages_nolock_noprof",
		"__alloc_pages_bulk", "alloc_pages_bulk_noprof",
		"alloc_pages_bulk_array_mempolicy", "alloc_pages_bulk_array_mempolicy_noprof", "alloc_pages_bulk_mempolicy_noprof",
		"alloc_contig_range", "alloc_contig_range_noprof", "alloc_contig_frozen_range_noprof",
		"alloc_contig_pages", "alloc_contig_pages_noprof", "alloc_contig_frozen_pages_noprof",
		"split_page",
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
func getFreePages(c *request) (uint64, error) { return c.allocPages(c.order(), 1, c.flags(0)&^gfpComp) }

// getZeroedPage is get_zeroed_page(gfp).
func getZeroedPage(c *request) (uint64, error) { return c.allocPages(0, 1, c.flags(0)|gfpZero) }

// order is that in x1.
func (c *request) order() uint64 { return uint64(uint32(c.args[1])) }

// allocPages makes functions that return the struct page of a piece, which has as many
// references; NULL where it failed.
func allocPages(references uint32) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) { return c.pageOf(c.allocPages(c.order(), references, c.flags(0))) })
}

// allocFolio is folio_alloc(gfp, order): a compound page. Of more than two pages it
// would have to be known to reverse mapping as well.
func allocFolio(c *request) (uint64, error) {
	if c.order() > 1 {
		return 0, &NoAllocatorError{Func: c.r.Name, Caller: c.caller(), What: "there are no folios of more than two pages"}
	}
	return c.pageOf(c.allocPages(c.order(), 1, c.flags(0)|gfpComp))
}

func (c *request) pageOf(addr uint64, err error) (uint64, error) {
	if addr == 0 || err != nil {
		return 0, err
	}
	return c.s.linear.page(addr, c.pageSize()), nil
}

// allocPages gives out a piece of 2^order pages, aligned to its size; NULL where no
// piece is so large.
func (c *request) allocPages(order uint64, references uint32, flags gfp) (uint64, error) {
	if order > c.maxOrder() {
		return 0, nil
	}
	l, err := c.linearMap()
	if err != nil {
		return 0, err
	}
	size := c.pageSize() << order
	addr, err := c.allocFrom(l.heap, object{size: size, kind: ofPages}, size, flags)
	if addr == 0 || err != nil {
		return 0, err
	}
	return addr, c.initPages(l, addr, order, references, flags)
}

// freePages is __free_pages(page, order), which drops a reference. The last one frees
// the piece, whose order it is.
func freePages(c *request) (uint64, error) {
	if l := &c.s.linear; l.probing.Load() == int32(c.cpu.ID())+1 {
		l.asked = c.args[0]
		return 0, nil
	}
	l, err := c.linearMap()
	if err != nil {
		return 0, err
	}
	addr, size := l.addr(c.args[0], c.pageSize()), c.pageSize()<<min(c.order(), 32)
	c.how = fmt.Sprintf("with order %d", c.order())
	if err := c.owned(addr, func(o *object) bool { return o.kind == ofPages && o.size == size }); err != nil {
		return 0, err
	}
	at := c.args[0] + uint64(c.s.k.Layout.Slab.Page.RefCount)
	references, err := c.s.k.Mem.Load32(at)
	if err != nil {
		return 0, err
	}
	if err := c.s.k.Mem.Store32(at, references-1); err != nil || references > 1 {
		return 0, err
	}
	return 0, c.free(addr, ofPages)
}

// freeUnreferenced is free_frozen_pages(page, order) and __folio_put(folio), of a piece
// that has no reference any more.
func freeUnreferenced(c *request) (uint64, error) {
	l, err := c.linearMap()
	if err != nil {
		return 0, err
	}
	return 0, c.free(l.addr(c.args[0], c.pageSize()), ofPages)
}

// allocPagesExact is alloc_pages_exact(size, gfp).
func allocPagesExact(c *request) (uint64, error) { return c.allocExact(c.args[0], c.flags(1)) }

// allocPagesExactNid is alloc_pages_exact_nid(nid, size, gfp).
func allocPagesExactNid(c *request) (uint64, error) { return c.allocExact(c.args[1], c.flags(2)) }

// allocExact gives out as many pages as hold the size, in one piece.
func (c *request) allocExact(size uint64, flags gfp) (uint64, error) {
	if size == 0 || size > c.kmallocMax() {
		return 0, nil
	}
	l, err := c.linearMap()
	if err != nil {
		return 0, err
	}
	size = c.pageUp(size)
	addr, err := c.allocFrom(l.heap, object{size: size, kind: ofPages}, c.pageSize(), flags)
	for at := addr; addr != 0 && err == nil && at < addr+size; at += c.pageSize() {
		err = c.initPages(l, at, 0, 1, flags)
	}
	return addr, err
}

// freePagesExact is free_pages_exact(addr, size).
func freePagesExact(c *request) (uint64, error) {
	size := c.pageUp(c.args[1])
	c.how = fmt.Sprintf("of %d bytes", c.args[1])
	return 0, c.freeIf(c.args[0], func(o *object) bool { return o.kind == ofPages && o.size == size })
}

func (c *request) pageUp(n uint64) uint64 { return (n + c.pageSize() - 1) &^ (c.pageSize() - 1) }
