package kernelimage

import (
	"encoding/binary"

	"callops/emu"
)

// perCPUSection returns where the per-CPU variables were linked. Symbols say it,
// or the kernel's code does.
func (l *rawLoad) perCPUSection(t *btfTypes) (Range, error) {
	r := Range{l.marks["__per_cpu_start"], l.marks["__per_cpu_end"]}
	if r.Start == 0 && r.End == 0 {
		var ok bool
		if r, ok = l.findPerCPU(t); !ok {
			return r, l.fail("__per_cpu_start", 0, nil, "there is no such symbol, and the code does not tell where the per-CPU variables are")
		}
		return r, nil
	}
	return l.span("__per_cpu_start", "__per_cpu_end")
}

const (
	perCPUVotes    = 16      // so many addresses in the code must agree with BTF
	mostPerCPUVars = 1 << 14 // each is looked for at each page; kernels have some thousand
)

// findPerCPU finds the section by the addresses that the code makes with ADRP
// and ADD: BTF tells how far from its start each variable is, and only one
// start makes variables of most addresses around there. The section begins at
// a page and lies in front of the kernel's own relocations.
func (l *rawLoad) findPerCPU(t *btfTypes) (Range, bool) {
	const slack = 1 << 20 // what the linker script may put between it and .rela.dyn
	vars, size := t.perCPUVars()
	if len(vars) == 0 || len(vars) > mostPerCPUVars || size > mostPerCPU {
		return Range{}, false
	}
	high := l.base + uint64(l.rela.off)
	low := max(l.initText.End, high-min(high-l.base, size+slack))
	used := l.addressesIn(low, high)
	var best, second int
	var at uint64
	for start := (low + emu.PageSize - 1) &^ (emu.PageSize - 1); start+size <= high; start += emu.PageSize {
		votes := 0
		for _, v := range vars {
			votes += used[start+uint64(v)]
		}
		switch {
		case votes > best:
			best, second, at = votes, best, start
		case votes > second:
			second = votes
		}
	}
	if best < perCPUVotes || best < 2*second {
		return Range{}, false
	}
	return Range{at, at + size}, true
}

// addressesIn counts how often the text makes each address in [low, high).
func (l *rawLoad) addressesIn(low, high uint64) map[uint64]int {
	used := make(map[uint64]int)
	for _, text := range l.img.Text {
		b := l.b[text.Start-l.base : text.End-l.base]
		for i := 0; i+8 <= len(b); i += 4 {
			w := binary.LittleEndian.Uint32(b[i:])
			if w&0x9f000000 != 0x90000000 { // ADRP
				continue
			}
			imm := int64(int32(w>>5&0x7ffff<<2|w>>29&3)<<11) >> 11
			page := (text.Start+uint64(i))&^0xfff + uint64(imm<<12)
			if page+0xfff < low || page >= high {
				continue
			}
			// ADD Xd, Xn, #imm with Xn that ADRP made, within the next words.
			for j := i + 4; j < i+20 && j+4 <= len(b); j += 4 {
				if a := binary.LittleEndian.Uint32(b[j:]); a&0xffc00000 == 0x91000000 && a>>5&31 == w&31 {
					if addr := page + uint64(a>>10&0xfff); addr >= low && addr < high {
						used[addr]++
					}
					break
				}
			}
		}
	}
	return used
}
