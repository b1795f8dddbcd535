// Package mcount finds a kernel's list of call sites (__start_mcount_loc) where
// no symbol names it.
package mcount

import (
	"encoding/binary"

	"callops/asm"
)

// Find returns the list in a kernel's raw Image, whose first byte is linked at
// base: the longest run of words that point at two NOPs in the text. nil where
// there is none. It takes time linear in the file.
func Find(b []byte, base uint64, inText func(addr uint64) bool) []byte {
	f := finder{b, base, inText}
	start, end := f.longest()
	start, end = f.trim(start, end)
	if start == end {
		return nil
	}
	return b[start:end:end]
}

type finder struct {
	b      []byte
	base   uint64
	inText func(addr uint64) bool
}

func (f finder) word(at int) uint64 { return binary.LittleEndian.Uint64(f.b[at:]) }

func (f finder) longest() (start, end int) {
	for at := 0; at+8 <= len(f.b); {
		run := at
		for run+8 <= len(f.b) && f.isEntry(run) {
			run += 8
		}
		if run-at > end-start {
			start, end = at, run
		}
		at = run + 8
	}
	return start, end
}

func (f finder) isEntry(at int) bool {
	addr := f.word(at)
	return f.isNop(addr) && f.isNop(addr+4) && f.inText(addr)
}

// isNop reports whether the instruction at addr is one.
func (f finder) isNop(addr uint64) bool {
	off := addr - f.base
	return addr >= f.base && off%4 == 0 && off+4 <= uint64(len(f.b)) && asm.IsNop(binary.LittleEndian.Uint32(f.b[off:]))
}

// trim leaves out pointers to functions that stand next to the list: they look the
// same, but are in the list as well, which holds no address twice.
func (f finder) trim(start, end int) (int, int) {
	count := make(map[uint64]int, (end-start)/8)
	for at := start; at < end; at += 8 {
		count[f.word(at)]++
	}
	for start < end && count[f.word(start)] > 1 {
		count[f.word(start)]--
		start += 8
	}
	for start < end && count[f.word(end-8)] > 1 {
		end -= 8
		count[f.word(end)]--
	}
	return start, end
}
