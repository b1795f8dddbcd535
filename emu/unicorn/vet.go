//go:build cgo

package unicorn

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"callops/emu"
	"callops/emu/isa"
)

// Guest code is untrusted, and the library is not made for that: translating
// some words aborts the process, and some system registers turn translation
// off or have it read guest memory as if it were the library's own. So no word
// is translated that has not been looked at. A page can be executed only after
// it was opened, which finds the words that must not be translated; the library
// ends blocks before them ("exits"). Words may change afterwards: whoever
// changes text tells the CPU, and guest stores go to pages that cannot be
// executed (see writable.go).

const pageMask = emu.PageSize - 1

// contained reports whether the library may be given a word. The words that
// the engines execute it may; of others, some that its first steps of decoding
// are certain to take for unallocated. They are told apart because kernel text
// is full of them, and each exit costs a lookup at the end of each run.
func contained(w uint32) bool {
	if _, ok := isa.TextMaintenance(w); ok {
		return false // which the library does nothing for: see atExit
	}
	if _, _, ok := isa.Emulated(w); ok {
		return false // likewise
	}
	switch w >> 25 & 15 {
	case 0, 1, 3: // literals; disas_a64_insn has nothing there
		return true
	case 7, 15: // literals that point to the kernel; data_proc_simd has bit 31 in SHA512 and the like alone
		return w>>31 == 1 && w>>28&5 != 1 && w>>24 != 0xce
	case 10: // registers of EL2 and EL3, for kernels that run there; define_one_arm_cp_reg asserts that EL1 has no access
		if op1 := w >> 16 & 7; w>>22 == 0xd5000000>>22 && w>>19&3 != 0 && op1 >= 4 && op1 <= 6 {
			return true
		}
	}
	return isa.Classify(w) == isa.Executed
}

// fewExits is how many exits there may be at a time but for those of one page:
// a page that would make them more has others closed. Translating such a page again costs
// far more than its exits, so the number doubles each time that one is needed again.
const fewExits = 64

// text is what a CPU may execute. Other CPUs change it when they write a page.
type text struct {
	mu     sync.Mutex
	tables *pageTable
	open   map[uint64]*emu.Region // pages that can be executed
	exits  map[uint64][]uint64    // by page: where words must not be translated
	nexits atomic.Int64           // of all pages
	most   int64                  // that there may be, see fewExits
	closed map[uint64]bool        // pages closed for their exits

	// What the library has to be told before it runs again.
	pending atomic.Bool // there is something
	stale   bool        // it has other exits
	flush   bool        // it may remember rights that a page no longer has
	drops   []uint64    // pages that it may have translated as they were earlier
}

func newText() (*text, error) {
	tables, err := newPageTable()
	if err != nil {
		return nil, err
	}
	return &text{tables: tables, open: map[uint64]*emu.Region{}, exits: map[uint64][]uint64{}, most: fewExits, closed: map[uint64]bool{}}, nil
}

// add maps a region, unless it is, and returns its physical address.
func (t *text) add(r *emu.Region) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tables.add(r)
}

// seal has no page of a region of data be written.
func (t *text) seal(r *emu.Region) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for page := r.Base; page != r.End(); page += emu.PageSize {
		if err := t.tables.protect(page, false, false); err != nil {
			return err
		}
	}
	t.flush = true
	t.pending.Store(true)
	return nil
}

// openPage makes the page executable. Its words are looked at first.
func (t *text) openPage(page uint64, r *emu.Region) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.look(r, page, page, page+emu.PageSize)
	if t.closed[page] {
		t.most *= 2
		clear(t.closed)
	}
	if own := len(t.exits[page]); own != 0 && t.nexits.Load() > t.most {
		for other := range t.exits {
			if other == page {
				continue
			}
			t.closed[other] = true
			if err := t.shut(other, false); err != nil {
				return err
			}
		}
	}
	if err := t.tables.protect(page, true, false); err != nil {
		return err
	}
	t.open[page] = r
	t.drops = append(t.drops, page) // it may have been open before, and have changed since
	t.flush = t.flush || r.Perm&emu.Write != 0
	t.pending.Store(true)
	return nil
}

// closePage makes the page one that cannot be executed.
func (t *text) closePage(page uint64, writable bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shut(page, writable)
}

func (t *text) shut(page uint64, writable bool) error {
	delete(t.open, page)
	t.setExits(page, nil)
	t.flush = true
	t.pending.Store(true)
	return t.tables.protect(page, false, writable)
}

// setExits notes the exits of a page.
func (t *text) setExits(page uint64, exits []uint64) {
	was := len(t.exits[page])
	if was == 0 && len(exits) == 0 {
		return
	}
	t.nexits.Add(int64(len(exits) - was))
	t.exits[page] = exits
	if len(exits) == 0 {
		delete(t.exits, page)
	}
	t.stale = true
	t.pending.Store(true)
}

// isOpen reports whether the page of addr can be executed.
func (t *text) isOpen(addr uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[addr&^pageMask] != nil
}

// refuses reports whether the word at addr must not be translated.
func (t *text) refuses(addr uint64) bool {
	if t.nexits.Load() == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.exits[addr&^pageMask], addr)
}

// changed looks again at the words in [addr, addr+size), and calls drop for the
// part of it on each page that can be executed.
func (t *text) changed(addr, size uint64, drop func(addr, size uint64) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := addr + size - 1
	each := func(page uint64) error {
		from, to := max(addr, page), min(last, page|pageMask)
		t.look(t.open[page], page, from&^3, to+1)
		return drop(from, to-from+1)
	}
	if (last-addr)/emu.PageSize >= uint64(len(t.open)) {
		for page := range t.open {
			if page|pageMask < addr || page > last {
				continue
			}
			if err := each(page); err != nil {
				return err
			}
		}
		return nil
	}
	for page := addr &^ pageMask; ; page += emu.PageSize {
		if t.open[page] != nil {
			if err := each(page); err != nil {
				return err
			}
		}
		if last-page < emu.PageSize { // page <= last does not end at the last page of all
			return nil
		}
	}
}

// look finds the exits in [from, to), which lies on one page.
func (t *text) look(r *emu.Region, page, from, to uint64) {
	exits := slices.DeleteFunc(slices.Clone(t.exits[page]), func(a uint64) bool { return a >= from && a < to })
	host := unsafe.Pointer(unsafe.SliceData(r.Host()))
	for a := from; a < to; a += 4 {
		if !contained(atomic.LoadUint32((*uint32)(unsafe.Add(host, a-r.Base)))) {
			exits = append(exits, a)
		}
	}
	t.setExits(page, exits)
}
