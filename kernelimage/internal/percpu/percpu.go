// Package percpu finds where a kernel's per-CPU variables were linked, where no
// symbol names it.
package percpu

import (
	"encoding/binary"

	"callops/asm"
)

const (
	fewestVotes = 16      // so many addresses in the code must agree
	maxVars     = 1 << 14 // each is looked for at each page; kernels have some thousand
	maxSize     = 16 << 20
)

// Section is a section of per-CPU variables, as BTF describes it.
type Section struct {
	Vars []uint32 // offsets of the variables
	Size uint64
}

// Find finds the section in [low, high) by the addresses that code makes with
// ADRP and ADD: only one start makes variables of most addresses around there. It
// begins at a page of the given size. Used is how often the code makes each
// address, see [Addresses].
func Find(s Section, low, high, page uint64, used map[uint64]int) (start uint64, ok bool) {
	if len(s.Vars) == 0 || len(s.Vars) > maxVars || s.Size > maxSize {
		return 0, false
	}
	var best, second int
	for at := (low + page - 1) &^ (page - 1); at+s.Size <= high; at += page {
		votes := 0
		for _, v := range s.Vars {
			votes += used[at+uint64(v)]
		}
		switch {
		case votes > best:
			best, second, start = votes, best, at
		case votes > second:
			second = votes
		}
	}
	return start, best >= fewestVotes && best >= 2*second
}

// Addresses adds to used how often the code text, which is at addr, makes each
// address in [low, high) with ADRP and an ADD within the next words.
func Addresses(text []byte, addr, low, high uint64, used map[uint64]int) {
	for i := 0; i+8 <= len(text); i += 4 {
		rd, page, isPage, _ := asm.DecodeAdr(addr+uint64(i), binary.LittleEndian.Uint32(text[i:]))
		if !isPage || page+0xfff < low || page >= high {
			continue
		}
		for j := i + 4; j < i+20 && j+4 <= len(text); j += 4 {
			if _, rn, imm, ok := asm.DecodeAddImm(binary.LittleEndian.Uint32(text[j:])); ok && rn == rd {
				if made := page + imm; made >= low && made < high {
					used[made]++
				}
				break
			}
		}
	}
}
