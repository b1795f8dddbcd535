// Package rela reads the relocations that a relocatable kernel applies to
// itself (.rela.dyn). Their table has no header: it is recognised by its structure.
//
// The kernel skips those that are not R_AARCH64_RELATIVE
// (arch/arm64/kernel/pi/relocate.c), and they are not counted here. A kernel with
// RELR relocations has their values in place, for its link address: there is
// nothing to be done for those.
package rela

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"sort"
)

const (
	entrySize    = 24
	relativeInfo = 0x403 // R_AARCH64_RELATIVE, no symbol
	maxGap       = 1024  // other entries in a row

	// A wrong link address seldom fits the first few relocations. Only those
	// that fit some of all are held against the rest, and of these only a few.
	maxSamples = 1 << 16
	maxLinks   = 16
)

// Table is the table of the image that it was found in. The zero value is
// that of an image without one.
type Table struct {
	b    []byte
	n    int
	runs []run // without others between
}

type run struct {
	off   int // in the file
	first int // which of the table's its first one is
}

// Find locates the table in a kernel's raw Image: around the longest run of
// entries of 24 bytes with an address of the kernel's half and, as the second
// word, R_AARCH64_RELATIVE. Further runs belong to it where only entries of other
// types that a linker leaves are between.
func Find(b []byte) Table {
	start, end := longestRun(b)
	if start == end {
		return Table{}
	}
	// One with another address is part of it, and an error.
	back := func(at int) int {
		for isRelative(b, at-entrySize) {
			at -= entrySize
		}
		return at
	}
	ahead := func(at int) int {
		for isRelative(b, at) {
			at += entrySize
		}
		return at
	}
	start, end = back(start), ahead(end)
	spans := [][2]int{{start, end}}
	for {
		last := skipOthers(b, start-entrySize, -entrySize) + entrySize
		if !isKernelRelative(b, last-entrySize) {
			break
		}
		start = back(last)
		spans = append(spans, [2]int{start, last})
	}
	slices.Reverse(spans)
	for {
		first := skipOthers(b, end, entrySize)
		if !isKernelRelative(b, first) {
			break
		}
		end = ahead(first)
		spans = append(spans, [2]int{first, end})
	}
	t := Table{b: b}
	for _, s := range spans {
		t.runs = append(t.runs, run{off: s[0], first: t.n})
		t.n += (s[1] - s[0]) / entrySize
	}
	return t
}

func isRelative(b []byte, at int) bool {
	return at >= 0 && at+entrySize <= len(b) && u64(b, at+8) == relativeInfo
}

func isKernelRelative(b []byte, at int) bool { return isRelative(b, at) && u64(b, at)>>48 == 0xffff }

// longestRun returns where the longest run begins and ends.
func longestRun(b []byte) (start, end int) {
	for at := 0; at+entrySize <= len(b); {
		run := at
		for isKernelRelative(b, run) {
			run += entrySize
		}
		if run-at > end-start {
			start, end = at, run
		}
		at = max(at+8, run)
	}
	return start, end
}

// skipOthers passes over entries of other types, from the one at the given place
// on, and returns where the first is that is none.
func skipOthers(b []byte, at, step int) int {
	for range maxGap {
		if at < 0 || at+entrySize > len(b) {
			break
		}
		addr := u64(b, at)
		switch elf.R_AARCH64(elf.R_TYPE64(u64(b, at+8))) {
		case elf.R_AARCH64_NULL, elf.R_AARCH64_NONE, elf.R_AARCH64_ABS64, elf.R_AARCH64_GLOB_DAT, elf.R_AARCH64_JUMP_SLOT:
		default:
			return at
		}
		if addr != 0 && addr>>48 != 0xffff {
			break
		}
		at += step
	}
	return at
}

// Len is the number of relocations.
func (t Table) Len() int { return t.n }

// Offset is where the table begins in the file; 0 where there is none.
func (t Table) Offset() int {
	if t.n == 0 {
		return 0
	}
	return t.runs[0].off
}

// Entry returns what to store where.
func (t Table) Entry(i int) (addr, value uint64) {
	r := &t.runs[0]
	if len(t.runs) > 1 {
		r = &t.runs[sort.Search(len(t.runs), func(r int) bool { return t.runs[r].first > i })-1]
	}
	at := r.off + (i-r.first)*entrySize
	return u64(t.b, at), u64(t.b, at+16)
}

// Value returns what a relocation stores at addr.
func (t Table) Value(addr uint64) (uint64, bool) {
	for i := range t.n {
		if at, value := t.Entry(i); at == addr {
			return value, true
		}
	}
	return 0, false
}

// Fill reports whether relocations fill n words from the given offset of the
// file on. The link address need not be known: it is shift more than a multiple
// of align.
func (t Table) Fill(off, n int, shift, align uint64) bool {
	want := uint64(off) + shift
	filled := 0
	for i := range t.n {
		addr, _ := t.Entry(i)
		if d := (addr - want) % align; d%8 == 0 && d < 8*uint64(n) {
			filled++
		}
	}
	return filled >= n
}

// Bounds returns the lowest and the highest address that is relocated, of a
// table that has any.
func (t Table) Bounds() (lowest, highest uint64) {
	lowest = ^uint64(0)
	for i := range t.n {
		addr, _ := t.Entry(i)
		lowest, highest = min(lowest, addr), max(highest, addr)
	}
	return lowest, highest
}

// Links returns the link addresses of the file's first byte for which the
// relocations can be those of the kernel, from the highest on; at most 16. Each
// is shift more than a multiple of align.
func (t Table) Links(shift, align uint64) (links []uint64) {
	if t.n == 0 {
		return nil
	}
	lowest, highest := t.Bounds()
	if highest-lowest >= uint64(len(t.b)) {
		return nil
	}
	link := (lowest-shift)&^(align-1) + shift
	for ; link <= lowest && highest-link <= uint64(len(t.b)-8) && len(links) < maxLinks; link -= align {
		if t.fits(link, max(1, t.n/maxSamples)) && t.Fits(link) {
			links = append(links, link)
		}
	}
	return links
}

// Fits reports whether the relocations can be those of a kernel linked at link:
// every word that they name is zero in the file, or holds its value already.
func (t Table) Fits(link uint64) bool { return t.fits(link, 1) }

func (t Table) fits(link uint64, step int) bool {
	for i := 0; i < t.n; i += step {
		addr, value := t.Entry(i)
		off := addr - link
		if addr < link || off > uint64(len(t.b)-8) {
			return false
		}
		if w := u64(t.b, int(off)); w != 0 && w != value {
			return false
		}
	}
	return true
}

// Apply relocates the file for a link address that fits, as
// arch/arm64/kernel/pi/relocate.c does with a displacement of 0: each word
// becomes its addend. changed gets the offset of each that was another. It
// returns how many words held their values before.
func (t Table) Apply(link uint64, changed func(off uint64)) (applied int) {
	for i := range t.n {
		addr, value := t.Entry(i)
		off := addr - link
		if u64(t.b, int(off)) == value {
			applied++
			continue
		}
		binary.LittleEndian.PutUint64(t.b[off:], value)
		changed(off)
	}
	return applied
}

func u64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
