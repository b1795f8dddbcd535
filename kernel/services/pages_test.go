package services

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func testPages(m *machine) {
	page := m.Image.PageSize()
	get := m.first("get_free_pages_noprof", "__get_free_pages")
	for order := range uint64(5) {
		p := m.call(get, gfpKernel, order)
		assert.Zero(m.t, p%(page<<order))
		assert.Equal(m.t, bytes.Repeat([]byte{0x5a}, int(page<<order)), m.read(p, int(page<<order)))
		_, err := m.try("free_pages", p, order+1)
		assert.Regexp(m.t, fmt.Sprintf(`free_pages of %#x with order %d by free_pages.*, what the call allocated \(%d bytes\), which is the page allocator's`, p, order+1, page<<order), err.Error())
		_, err = m.try("kfree", p)
		assert.ErrorContains(m.t, err, "which is the page allocator's")
		m.call("free_pages", p, order)
		_, err = m.try("free_pages", p, order)
		assert.ErrorContains(m.t, err, "double free: ")
	}
	m.call("free_pages", 0, 0)
	assert.Zero(m.t, m.call(get, gfpKernel, 14), "more than MAX_PAGE_ORDER")
	p := m.call(m.first("get_zeroed_page_noprof", "get_zeroed_page"), gfpKernel)
	assert.Equal(m.t, make([]byte, page), m.read(p, int(page)))
	exact := m.call(m.first("alloc_pages_exact_noprof", "alloc_pages_exact"), 3*page-5, gfpKernel)
	assert.Zero(m.t, exact%page)
	m.fill(exact, int(3*page))
	_, err := m.try("free_pages_exact", exact, page)
	assert.ErrorContains(m.t, err, "which is the page allocator's")
	m.call("free_pages_exact", exact, 3*page-5)

	list := m.kmalloc(8)
	_, err = m.try("free_pages", list, 0)
	var free *FreeError
	require.ErrorAs(m.t, err, &free)
	assert.Equal(m.t, list&^(page-1), free.Addr, "the page that the address is in")
}

// The kernel's own code goes from a struct page to its page's address, and back.
func testStructPages(m *machine) {
	page := m.Image.PageSize()
	alloc := m.first("__alloc_pages_noprof", "__alloc_pages", "alloc_pages_noprof")
	zeroed := gfpKernel | uint64(gfpZero)
	first := m.call(alloc, zeroed, 1, 0, 0)
	layout := m.Layout.Slab.Page
	assert.Equal(m.t, uint32(1), m.u32(first+uint64(layout.RefCount)))
	assert.Equal(m.t, ^uint32(0), m.u32(first+uint64(layout.MapCount)))
	virt := m.linear.addr(first, page)
	assert.Equal(m.t, make([]byte, 2*page), m.read(virt, int(2*page)))
	assert.Equal(m.t, first+uint64(layout.Size), m.linear.page(virt+page, page), "an array")

	// A copy from and to struct pages maps them by page_address.
	m.fill(virt, 8)
	out := m.bytes(make([]byte, 8))
	sg := m.bytes(make([]byte, 64))
	m.call("sg_init_one", sg, virt, 8)
	assert.EqualValues(m.t, 8, m.call("sg_copy_to_buffer", sg, 1, out, 8))
	assert.Equal(m.t, bytes.Repeat([]byte{0xa5}, 8), m.read(out, 8))

	require.NoError(m.t, m.Mem.Store32(first+uint64(layout.RefCount), 2)) // get_page
	m.call("__free_pages", first, 1)
	assert.Equal(m.t, uint32(1), m.u32(first+uint64(layout.RefCount)))
	assert.Equal(m.t, bytes.Repeat([]byte{0xa5}, 8), m.read(virt, 8), "there is another reference")
	m.call("free_pages", virt, 1)
	_, err := m.try("__free_pages", first, 1)
	assert.ErrorContains(m.t, err, "double free: __free_pages of 0x")

	const comp = uint64(gfpComp)
	compound := m.call(alloc, gfpKernel|comp, 2, 0, 0)
	for i := uint64(1); i < 4; i++ {
		assert.Equal(m.t, compound+1, m.u64(compound+i*uint64(layout.Size)+8), "compound_head, by the kernel's own prep_compound_page")
	}
	m.call("__folio_put", compound)
	_, err = m.try("__folio_put", compound)
	assert.ErrorContains(m.t, err, "double free: __folio_put of 0x")
	folio := m.first("folio_alloc_noprof", "folio_alloc")
	m.call("__folio_put", m.call(folio, gfpKernel, 1))
	_, err = m.try(folio, gfpKernel, 2)
	assert.ErrorIs(m.t, err, errno.ENOSYS)
	m.FailAlloc(1)
	assert.Zero(m.t, m.call(alloc, gfpKernel, 0, 0, 0))
}

func (m *machine) u32(addr uint64) uint32 { return binary.LittleEndian.Uint32(m.read(addr, 4)) }
