package kernelimage

import (
	"debug/elf"
	"encoding/binary"
	"math"
	"slices"
	"sort"
)

// relaTable is a kernel's own table of relocations (.rela.dyn). Those that are not
// R_AARCH64_RELATIVE the kernel passes over (arch/arm64/kernel/pi/relocate.c), so
// they are not counted here. A kernel with RELR relocations has their values in
// place, for its link address, and is run there: nothing is to be done for those.
type relaTable struct {
	off  int // in the file
	n    int
	runs []relaRun // without others between
}

type relaRun struct {
	off   int
	first int // which of the table's its first one is
}

const (
	relativeInfo = 0x403 // R_AARCH64_RELATIVE, no symbol
	maxRelaGap   = 1024  // other entries in a row
)

// findRela locates the table by its shape: around the longest run of entries of
// 24 bytes with an address of the kernel's half and, as the second word,
// R_AARCH64_RELATIVE. Further runs belong to it where only entries of other
// types that a linker leaves are between.
func findRela(b []byte) relaTable {
	start, end := longestRela(b)
	if start == end {
		return relaTable{}
	}
	// One with another address is part of it, and an error.
	back := func(at int) int {
		for isRelative(b, at-elfRelaSize) {
			at -= elfRelaSize
		}
		return at
	}
	ahead := func(at int) int {
		for isRelative(b, at) {
			at += elfRelaSize
		}
		return at
	}
	start, end = back(start), ahead(end)
	spans := [][2]int{{start, end}}
	for {
		last := skipOthers(b, start-elfRelaSize, -elfRelaSize) + elfRelaSize
		if !isKernelRelative(b, last-elfRelaSize) {
			break
		}
		start = back(last)
		spans = append(spans, [2]int{start, last})
	}
	slices.Reverse(spans)
	for {
		first := skipOthers(b, end, elfRelaSize)
		if !isKernelRelative(b, first) {
			break
		}
		end = ahead(first)
		spans = append(spans, [2]int{first, end})
	}
	t := relaTable{off: spans[0][0]}
	for _, s := range spans {
		t.runs = append(t.runs, relaRun{off: s[0], first: t.n})
		t.n += (s[1] - s[0]) / elfRelaSize
	}
	return t
}

func isRelative(b []byte, at int) bool {
	return at >= 0 && at+elfRelaSize <= len(b) && u64At(b, at+8) == relativeInfo
}

func isKernelRelative(b []byte, at int) bool { return isRelative(b, at) && u64At(b, at)>>48 == 0xffff }

// longestRela returns where the longest run begins and ends.
func longestRela(b []byte) (start, end int) {
	for at := 0; at+elfRelaSize <= len(b); {
		run := at
		for isKernelRelative(b, run) {
			run += elfRelaSize
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
	for range maxRelaGap {
		if at < 0 || at+elfRelaSize > len(b) {
			break
		}
		addr := u64At(b, at)
		switch elf.R_AARCH64(elf.R_TYPE64(u64At(b, at+8))) {
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

// entry returns what to store where.
func (t relaTable) entry(b []byte, i int) (addr, value uint64) {
	run := &t.runs[0]
	if len(t.runs) > 1 {
		run = &t.runs[sort.Search(len(t.runs), func(r int) bool { return t.runs[r].first > i })-1]
	}
	at := run.off + (i-run.first)*elfRelaSize
	return u64At(b, at), u64At(b, at+16)
}

// relocate finds the link address and applies the kernel's own relocations for
// it, as arch/arm64/kernel/pi/relocate.c does with a displacement of 0: each
// word becomes its addend.
func (l *rawLoad) relocate() error {
	if err := l.findBase(); err != nil {
		return err
	}
	applied := 0
	for i := range l.rela.n {
		addr, value := l.rela.entry(l.b, i)
		off := addr - l.base
		if u64At(l.b, int(off)) == value {
			applied++
			continue
		}
		binary.LittleEndian.PutUint64(l.b[off:], value)
		l.file.change(off)
	}
	l.info.Base, l.info.Relocations = l.base, l.rela.n
	l.info.Applied = l.rela.n > 0 && applied == l.rela.n
	return nil
}

// findBase works out the link address of the first byte. With relocations it is
// the one for which every word that they name is zero in the file, or holds its
// value already. Without them the symbols tell it.
func (l *rawLoad) findBase() error {
	word := l.ks.base
	if l.ks.form == formAbsolute {
		word = l.ks.addresses
	}
	if v := u64At(l.b, word); v != 0 {
		l.base = l.symbolBase(v)
		if l.rela.n == 0 || l.fits(l.base) {
			return l.checkBase(l.base)
		}
	}
	if l.rela.n == 0 {
		return l.fail(".rela.dyn", 0, nil, "no relocations found, and the symbols' addresses, at %#x of the file, are zero", word)
	}
	lowest, highest := uint64(math.MaxUint64), uint64(0)
	for i := range l.rela.n {
		addr, _ := l.rela.entry(l.b, i)
		lowest, highest = min(lowest, addr), max(highest, addr)
	}
	if highest-lowest >= uint64(len(l.b)) {
		return l.fail(".rela.dyn", uint64(l.rela.off), nil, "they reach from %#x to %#x, more than the file does", lowest, highest)
	}
	var found []uint64
	for base := (lowest-l.shift)&^(rawAlign-1) + l.shift; base <= lowest && highest-base <= uint64(len(l.b)-8); base -= rawAlign {
		if l.checkBase(base) == nil && l.fits(base) {
			found = append(found, base)
		}
	}
	if len(found) > 1 { // a small image: the symbols choose
		found = slices.DeleteFunc(found, func(base uint64) bool { return !l.filled(base+uint64(word), base) })
	}
	if len(found) != 1 {
		return l.fail(".rela.dyn", uint64(l.rela.off), nil, "%d relocations fit %d link addresses %#x", l.rela.n, len(found), found)
	}
	l.base = found[0]
	return nil
}

// symbolBase is the link address when the symbols' addresses count from, or
// begin with, v.
func (l *rawLoad) symbolBase(v uint64) uint64 {
	if i, ok := l.ks.find("_text"); ok {
		return l.ks.addr(i, v, func(off int) uint64 { return u64At(l.b, off) })
	}
	return (v-l.shift)&^(rawAlign-1) + l.shift
}

// fits reports whether the relocations can be those of a kernel linked at base.
func (l *rawLoad) fits(base uint64) bool {
	for i := range l.rela.n {
		addr, value := l.rela.entry(l.b, i)
		off := addr - base
		if addr < base || off > uint64(len(l.b)-8) {
			return false
		}
		if w := u64At(l.b, int(off)); w != 0 && w != value {
			return false
		}
	}
	return true
}

// filled reports whether a relocation fills the word at addr with what the
// symbols of a kernel linked at base would count from.
func (l *rawLoad) filled(addr, base uint64) bool {
	for i := range l.rela.n {
		if at, value := l.rela.entry(l.b, i); at == addr {
			return l.symbolBase(value) == base
		}
	}
	return false
}

func (l *rawLoad) checkBase(base uint64) error {
	if base>>48 != 0xffff || (base-l.shift)%rawAlign != 0 || base > -l.size {
		return l.fail("kallsyms", uint64(l.ks.base), base, "the kernel's first byte is not linked %#x behind a multiple of 2 MiB in the kernel's half, but at", l.shift)
	}
	return nil
}
