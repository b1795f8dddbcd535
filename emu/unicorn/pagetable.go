//go:build cgo

package unicorn

import (
	"fmt"
	"unsafe"

	"callops/emu"
	"callops/internal/errno"
	"callops/internal/hostmem"
)

// A CPU's own physical address space. Guest code never sees it, for it cannot
// turn translation off (see vet.go); it only must not meet a region's virtual
// address, since 2.0.1 asks for that to be mapped as well (see mapRegion).
const (
	tablesAt   = 0x0800_0000_0000
	tablesSize = 64 << 20
	framesAt   = tablesAt + 1<<36
	framesEnd  = 0x1000_0000_0000 // 44 bits, what the CPU model implements
)

// Descriptor bits (Arm ARM, VMSAv8-64 translation table format).
const (
	descValid  = 1 << 0
	descTable  = 1 << 1 // at levels 0 to 2
	descPage   = 1 << 1 // at level 3
	descRO     = 1 << 7
	descInner  = 3 << 8
	descAF     = 1 << 10
	descPXN    = 1 << 53
	descAddr   = 1<<48 - 1<<12
	blockSize  = 2 << 20
	tableWords = 512
)

// pageTable maps regions for one CPU's MMU. No page can be executed until it
// is opened, so that its words are looked at before the library translates
// them. Tables are never freed: regions are not unmapped while an engine is
// open.
type pageTable struct {
	words []uint64 // the tables; the first two are the roots
	host  []byte   // the same memory
	used  int      // tables
	frame uint64   // the next free physical address
	at    map[*emu.Region]uint64
}

func newPageTable() (*pageTable, error) {
	host, err := hostmem.Alloc(tablesSize)
	if err != nil {
		return nil, fmt.Errorf("page tables: %w", err)
	}
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(host))), len(host)/8)
	return &pageTable{words: words, host: host, used: 2, frame: framesAt, at: map[*emu.Region]uint64{}}, nil
}

// roots returns the addresses of the tables for the low and the high half.
func (p *pageTable) roots() (ttbr0, ttbr1 uint64) { return tablesAt, tablesAt + emu.PageSize }

func (p *pageTable) close() error { return hostmem.Free(p.host) }

// add maps a region, unless it is, and returns its physical address.
func (p *pageTable) add(r *emu.Region) (uint64, error) {
	if pa, ok := p.at[r]; ok {
		return pa, nil
	}
	if !canonical(r.Base) || !canonical(r.End()-1) || r.Base>>63 != (r.End()-1)>>63 {
		return 0, fmt.Errorf("region %s at %#x: not a 48-bit address: %w", r.Name, r.Base, errno.EINVAL)
	}
	// The same place within a 2 MiB block, so that blocks can be used.
	pa := (p.frame+blockSize-1)&^(blockSize-1) + r.Base%blockSize
	if pa+r.Size > framesEnd {
		return 0, fmt.Errorf("region %s: no physical addresses left: %w", r.Name, errno.ENOMEM)
	}
	p.frame = pa + r.Size
	attr, ok := attributes(r.Perm)
	if !ok {
		p.at[r] = pa
		return pa, nil
	}
	for off := uint64(0); off < r.Size; {
		va, left := r.Base+off, r.Size-off
		level, size, kind := 3, uint64(emu.PageSize), uint64(descPage)
		if va%blockSize == 0 && left >= blockSize {
			level, size, kind = 2, blockSize, 0
		}
		d, err := p.descriptor(va, level)
		if err != nil {
			return 0, err
		}
		*d = (pa + off) | attr | kind
		off += size
	}
	p.at[r] = pa
	return pa, nil
}

// attributes gives the descriptor bits of a region's pages as they are at
// first, none of them executable. EL1 can read what it can write or execute; a
// region without any permission is not mapped.
func attributes(perm emu.Perm) (uint64, bool) {
	d := uint64(descValid | descInner | descAF | descPXN)
	if perm&emu.Write == 0 {
		d |= descRO
	}
	return d, perm != 0
}

// protect makes the page at va, which is mapped, executable or not, and
// writable or not.
func (p *pageTable) protect(va uint64, exec, write bool) error {
	d, err := p.descriptor(va, 3)
	if err != nil {
		return err
	}
	*d &^= descPXN | descRO
	if !exec {
		*d |= descPXN
	}
	if !write {
		*d |= descRO
	}
	return nil
}

// descriptor returns the entry for va in its table of the given level, making
// the tables above it, and pages of a block that is in the way.
func (p *pageTable) descriptor(va uint64, level int) (*uint64, error) {
	table := int(va>>63) * tableWords
	for l := 0; ; l++ {
		e := &p.words[table+int(va>>(39-9*l)%tableWords)]
		if l == level {
			return e, nil
		}
		if *e&descTable == 0 {
			if (p.used+1)*emu.PageSize > tablesSize {
				return nil, fmt.Errorf("page tables: %d in use: %w", p.used, errno.ENOMEM)
			}
			if block := *e; block != 0 {
				for i := range uint64(tableWords) {
					p.words[p.used*tableWords+int(i)] = block + i*emu.PageSize | descPage
				}
			}
			*e = tablesAt + uint64(p.used)*emu.PageSize | descValid | descTable
			p.used++
		}
		table = int(*e&descAddr-tablesAt) / 8
	}
}

// canonical reports whether bits 63:48 are all the same.
func canonical(addr uint64) bool { return addr>>48 == 0 || addr>>48 == 0xffff }
