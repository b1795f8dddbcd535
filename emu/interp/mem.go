package interp

import (
	"unsafe"

	"callops/emu"
)

// tlbSize is how many pages a TLB holds; see slotOf.
const tlbSize = 256

// slotOf is where a page is looked up in a table of 256. Multiplying takes all
// bits of the page's number into the highest ones: regions often begin at round
// addresses, and would otherwise meet in the first slots. Two pages side by side
// never share a slot, which tlb.at depends on: their products differ by the
// factor, so their highest bytes by 0x9e or 0x9f.
func slotOf(addr uint64) uint32 { return uint32(addr/emu.PageSize) * 0x9e3779b1 >> 24 }

// tlb is a direct-mapped cache of pages that one kind of access may touch. It
// drops them where a region is write-protected or unmapped.
type tlb [tlbSize]tlbEntry

type tlbEntry struct {
	page uint64 // its number
	host unsafe.Pointer
}

// nowhere is where empty entries point, so that a pointer into one is a pointer.
var nowhere [2 * emu.PageSize]byte

var emptyEntry = tlbEntry{^uint64(0), unsafe.Pointer(&nowhere)}

func (t *tlb) clear() {
	for i := range t {
		t[i] = emptyEntry
	}
}

// at returns the host address of addr and whether addr to addr+last may be
// accessed there. An access that leaves its page never may: the page of its
// last byte is in another entry.
func (t *tlb) at(addr, last uint64) (unsafe.Pointer, bool) {
	e := &t[slotOf(addr)]
	return unsafe.Add(e.host, addr%emu.PageSize), e.page == (addr+last)/emu.PageSize
}

// PermChanged implements [emu.PermObserver].
func (c *CPU) PermChanged(*emu.Region) { c.stores.clear() }

// permits reports whether guest code may access memory so. As with stage 1
// descriptors at EL1, whatever is mapped with any permission can be read.
func permits(r *emu.Region, access emu.Access) bool {
	if access == emu.Store {
		return r.Perm&emu.Write != 0
	}
	return r.Perm != 0
}

// refusal tells why an access at addr is refused that memory does not permit.
func (c *CPU) refusal(addr uint64) emu.FaultKind {
	if c.engine.mem.Region(addr) == nil {
		return emu.Unmapped
	}
	return emu.Denied
}

func (c *CPU) refuse(addr, size uint64, access emu.Access, kind emu.FaultKind) {
	c.fault = emu.Fault{Addr: addr, Size: size, Access: access, Kind: kind}
}

// lookup returns the host address of one byte, and fills the TLB. size is that
// of the access, for the fault.
func (c *CPU) lookup(addr, size uint64, access emu.Access) (unsafe.Pointer, bool) {
	r := c.engine.mem.Region(addr)
	if r == nil || !permits(r, access) {
		c.refuse(addr, size, access, c.refusal(addr))
		return nil, false
	}
	watched, ok := c.watch(addr, size, access)
	if !ok {
		return nil, false
	}
	off := addr - r.Base
	page := unsafe.Pointer(&r.Host()[off&^pageMask])
	t := &c.loads
	if access == emu.Store {
		t = &c.stores
		if o := c.engine.mem.StoreObserver(); o != nil {
			o.GuestStores(addr &^ pageMask)
		}
	}
	// Stores to what can be executed have to be noticed, and accesses that a watchpoint may be for.
	if (access != emu.Store || r.Perm&emu.Exec == 0) && !watched {
		t[slotOf(addr)] = tlbEntry{addr / emu.PageSize, page}
	}
	return unsafe.Add(page, off&pageMask), true
}

// span returns the host addresses of the first byte of an access and, when the
// access leaves its page, of the first byte in the next one.
func (c *CPU) span(addr, size uint64, access emu.Access) (p, q unsafe.Pointer, ok bool) {
	t := &c.loads
	if access == emu.Store {
		t = &c.stores
	}
	if p, ok = t.at(addr, size-1); ok {
		return p, nil, true
	}
	if p, ok = c.lookup(addr, size, access); !ok {
		return nil, nil, false
	}
	last := addr + size - 1
	if last/emu.PageSize == addr/emu.PageSize {
		return p, nil, true
	}
	q, ok = c.lookup(last&^pageMask, size, access)
	return p, q, ok
}

// load reads 1, 2, 4 or 8 bytes.
func (c *CPU) load(addr, size uint64) (uint64, bool) {
	p, q, ok := c.span(addr, size, emu.Load)
	switch {
	case !ok:
		return 0, false
	case q != nil:
		return loadSplit(p, q, addr, size), true
	}
	return loadHost(p, size), true
}

// store writes 1, 2, 4 or 8 bytes.
func (c *CPU) store(addr, size, v uint64) bool {
	p, q, ok := c.span(addr, size, emu.Store)
	switch {
	case !ok:
		return false
	case q != nil:
		storeSplit(p, q, addr, size, v)
	default:
		storeHost(p, size, v)
	}
	c.stored(addr, size)
	return true
}

// stored is called after the reference's stores. What the TLB has can't be executed.
func (c *CPU) stored(addr, size uint64) {
	if _, ok := c.stores.at(addr, size-1); ok {
		return
	}
	if r := c.engine.mem.Region(addr); r != nil && r.Perm&emu.Exec != 0 {
		c.engine.textStored(addr, size)
		return
	}
	last := addr + size - 1
	if last/emu.PageSize == addr/emu.PageSize {
		return
	}
	if r := c.engine.mem.Region(last); r != nil && r.Perm&emu.Exec != 0 {
		c.engine.textStored(addr, size)
	}
}

// loadHost is one host load of that width, so an aligned one is never torn.
func loadHost(p unsafe.Pointer, size uint64) uint64 {
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(*(*uint32)(p))
	}
	return *(*uint64)(p)
}

// storeHost is one host store.
func storeHost(p unsafe.Pointer, size, v uint64) {
	switch size {
	case 1:
		*(*uint8)(p) = uint8(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	case 4:
		*(*uint32)(p) = uint32(v)
	default:
		*(*uint64)(p) = v
	}
}

// loadSplit reads bytes on both sides of a page's end, which is never atomic.
func loadSplit(p, q unsafe.Pointer, addr, size uint64) (v uint64) {
	first := emu.PageSize - addr%emu.PageSize
	for i := range size {
		b := unsafe.Add(p, i)
		if i >= first {
			b = unsafe.Add(q, i-first)
		}
		v |= uint64(*(*uint8)(b)) << (8 * i)
	}
	return v
}

func storeSplit(p, q unsafe.Pointer, addr, size, v uint64) {
	first := emu.PageSize - addr%emu.PageSize
	for i := range size {
		b := unsafe.Add(p, i)
		if i >= first {
			b = unsafe.Add(q, i-first)
		}
		*(*uint8)(b) = uint8(v >> (8 * i))
	}
}
