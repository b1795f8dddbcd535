package services

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"callops/emu"
)

// linear is a part of the kernel's linear map, and the struct pages of it in vmemmap
// (arch/arm64/include/asm/memory.h). Where vmemmap is, the kernel's own code tells.
type linear struct {
	mu    sync.Mutex // while it is made
	heap  *emu.Heap  // of the pages; nil: not made
	start uint64     // the first page's address
	size  uint64     // bytes

	pages  uint64 // the struct page of the first
	stride uint64 // from one struct page to the next
	asked  uint64 // the struct page that __free_pages was called with

	probing atomic.Int32 // the CPU that asks, and 1; 0: none
}

// Where the part begins in the linear map, and how large it is.
const (
	linearOffset = 1 << 30
	linearSize   = 256 << 20
)

// linearMap makes the part of the linear map that pages are allocated from, once.
func (c *request) linearMap() (*linear, error) {
	l := &c.s.linear
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heap != nil {
		return l, nil
	}
	if p := &c.s.k.Layout.Slab.Page; p.Size == 0 || p.RefCount < 0 || p.MapCount < 0 {
		return nil, &NoAllocatorError{Func: c.r.Name, Caller: c.caller(), What: "struct page is not known"}
	}
	// The kernel's image lies in the upper half of its addresses, the linear map in the
	// lower.
	ones := bits.LeadingZeros64(^c.s.k.Image.Bounds().Start)
	if ones < 8 {
		return nil, &NoAllocatorError{Func: c.r.Name, Caller: c.caller(), What: "the image is not at a kernel's addresses"}
	}
	l.start = -(uint64(2) << (64 - ones)) + linearOffset
	l.size = linearSize
	if err := c.probe(l); err != nil {
		return nil, err
	}
	return l, c.mapLinear(l)
}

// probe has the kernel's free_pages compute which struct pages are the first two's.
func (c *request) probe(l *linear) error {
	unknown := func(why string) error {
		return &NoAllocatorError{Func: c.r.Name, Caller: c.caller(), What: "where vmemmap is can't be told: " + why}
	}
	free, err := c.s.k.Symbols.Lookup("free_pages")
	if err != nil {
		return unknown(err.Error())
	}
	l.probing.Store(int32(c.cpu.ID()) + 1)
	defer l.probing.Store(0)
	var at [2]uint64
	for i := range at {
		l.asked = 0
		if _, err := c.s.k.Caller().Call(context.Background(), c.cpu, &emu.CallOptions{Budget: 1000}, free.Addr, l.start+uint64(i)*c.pageSize(), 0); err != nil {
			return unknown(err.Error())
		}
		at[i] = l.asked
	}
	l.pages, l.stride = at[0], at[1]-at[0]
	if l.pages == 0 || l.pages%emu.PageSize != 0 || l.stride < uint64(c.s.k.Layout.Slab.Page.Size) || l.stride > 4096 {
		return unknown(fmt.Sprintf("free_pages of %#x is of the struct page at %#x, and the next of that at %#x", l.start, at[0], at[1]))
	}
	return nil
}

func (c *request) mapLinear(l *linear) error {
	k := c.s.k
	size := (l.size/c.pageSize()*l.stride + emu.PageSize - 1) &^ (emu.PageSize - 1)
	if _, err := k.Mem.Map("vmemmap", l.pages, size, emu.Read|emu.Write); err != nil {
		return err
	}
	r, err := k.Mem.Map("linear map", l.start, l.size, emu.Read|emu.Write)
	if err != nil {
		return err
	}
	l.heap = k.Heap.Extend(r)
	return nil
}

// page is the struct page of an address.
func (l *linear) page(addr, pageSize uint64) uint64 {
	return l.pages + (addr-l.start)/pageSize*l.stride
}

// addr is the address of a struct page's page, also outside of the part.
func (l *linear) addr(page, pageSize uint64) uint64 {
	return l.start + uint64(int64(page-l.pages)/int64(max(l.stride, 1))*int64(pageSize))
}

// initPages makes the struct pages of a piece as they are when it is handed out
// (mm/page_alloc.c, prep_new_page): of node 0 and its first zone, with references.
func (c *request) initPages(l *linear, addr uint64, order uint64, references uint32, flags gfp) error {
	layout := &c.s.k.Layout.Slab.Page
	first := l.page(addr, c.pageSize())
	for i := range uint64(1) << order {
		page := first + i*l.stride
		if err := c.s.fill(page, l.stride, 0); err != nil {
			return err
		}
		if err := c.s.k.Mem.Store32(page+uint64(layout.MapCount), ^uint32(0)); err != nil { // none
			return err
		}
	}
	if err := c.s.k.Mem.Store32(first+uint64(layout.RefCount), references); err != nil {
		return err
	}
	if order == 0 || flags&gfpComp == 0 {
		return nil
	}
	prep, err := c.s.k.Symbols.Lookup("prep_compound_page")
	if err != nil {
		return &NoAllocatorError{Func: c.r.Name, Caller: c.caller(), What: "prep_compound_page: " + err.Error()}
	}
	_, err = c.s.k.Caller().Call(context.Background(), c.cpu, nil, prep.Addr, first, order)
	return err
}
