// Package pointers finds the link address of a kernel from the targets of its
// pointers, where the file does not contain it.
package pointers

import (
	"encoding/binary"
	"slices"
)

const (
	maxPointers = 1 << 12 // so many are looked at
	fewest      = 16      // agreement of fewer is chance
)

// Link returns the address that the first byte of a raw Image is linked at: the
// one at which most of the pointers that it holds are to symbols, and at least
// twice as many as at the next. Each is shift more than a multiple of align, in
// the kernel's half. Symbols are offsets from the first byte, in ascending order;
// the image takes up size bytes in memory.
//
// It takes relocated words, as of a kernel with RELR relocations or of one that
// can't be relocated.
func Link(b []byte, symbols []uint64, size, shift, align uint64) (link uint64, ok bool) {
	votes := make(map[uint64]int)
	for _, p := range pointersOf(b) {
		if p < shift {
			continue
		}
		for base := (p-shift)&^(align-1) + shift; p-base < size && base>>48 == 0xffff; base -= align {
			if _, found := slices.BinarySearch(symbols, p-base); found {
				votes[base]++
			}
		}
	}
	best, second := 0, 0
	for base, n := range votes {
		switch {
		case n > best:
			best, second, link = n, best, base
		case n > second:
			second = n
		}
	}
	return link, best >= fewest && best >= 2*second
}

// pointersOf returns words of the kernel's half, evenly spread over the file.
func pointersOf(b []byte) []uint64 {
	isPointer := func(w uint64) bool { return w>>48 == 0xffff && w != ^uint64(0) }
	n := 0
	for at := 0; at+8 <= len(b); at += 8 {
		if isPointer(binary.LittleEndian.Uint64(b[at:])) {
			n++
		}
	}
	step, i := n/maxPointers+1, 0
	found := make([]uint64, 0, n/step+1)
	for at := 0; at+8 <= len(b); at += 8 {
		if w := binary.LittleEndian.Uint64(b[at:]); isPointer(w) {
			if i%step == 0 {
				found = append(found, w)
			}
			i++
		}
	}
	return found
}
