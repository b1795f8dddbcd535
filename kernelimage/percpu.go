package kernelimage

import (
	"encoding/binary"

	"callops/asm"
)

// perCPUSection returns where the per-CPU variables were linked. Symbols say it,
// or the kernel's code does. Where neither does, as in Debian's 5.10, all that
// they are linked among stands for them: each CPU gets a copy of more than it
// needs.
func (l *rawLoad) perCPUSection(t *btfTypes) (Range, error) {
	r := Range{l.marks["__per_cpu_start"], l.marks["__per_cpu_end"]}
	if r.Start == 0 && r.End == 0 {
		var ok bool
		if r, ok = l.findPerCPU(t); !ok {
			r, l.info.OneCPU = l.initData(), true
			l.info.Assumed = append(l.info.Assumed, "the per-CPU variables: all data of init stands for them")
		}
		return r, nil
	}
	return l.span("__per_cpu_start", "__per_cpu_end")
}

// initData is what lies between the init text and the kernel's own relocations.
func (l *rawLoad) initData() Range {
	return Range{alignUp(l.initText.End, l.info.PageSize), l.perCPULimit()}
}

// perCPULimit is what the per-CPU variables lie before.
func (l *rawLoad) perCPULimit() uint64 {
	if l.rela.Len() > 0 {
		return l.base + uint64(l.rela.Offset())
	}
	return l.base + uint64(len(l.b))
}

const (
	perCPUVotes    = 16      // so many addresses in the code must agree with BTF
	mostPerCPUVars = 1 << 14 // each is looked for at each page; kernels have some thousand
)

// findPerCPU finds the section by the addresses that the code makes with ADRP
// and ADD: BTF tells how far from its start each variable is, and only one
// start makes variables of most addresses around there. The section begins at
// a page and lies before the kernel's own relocations.
func (l *rawLoad) findPerCPU(t *btfTypes) (Range, bool) {
	const slack = 1 << 20 // what the linker script may put between it and .rela.dyn
	vars, size := t.perCPUVars()
	if len(vars) == 0 || len(vars) > mostPerCPUVars || size > mostPerCPU {
		return Range{}, false
	}
	high := l.perCPULimit()
	low := max(l.initText.End, high-min(high-l.base, size+slack))
	used := l.addressesIn(low, high)
	var best, second int
	var at uint64
	for start := alignUp(low, l.info.PageSize); start+size <= high; start += l.info.PageSize {
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
			rd, page, isPage, _ := asm.DecodeAdr(text.Start+uint64(i), binary.LittleEndian.Uint32(b[i:]))
			if !isPage || page+0xfff < low || page >= high {
				continue
			}
			// The ADD that completes the address is within the next words.
			for j := i + 4; j < i+20 && j+4 <= len(b); j += 4 {
				if _, rn, imm, ok := asm.DecodeAddImm(binary.LittleEndian.Uint32(b[j:])); ok && rn == rd {
					if addr := page + imm; addr >= low && addr < high {
						used[addr]++
					}
					break
				}
			}
		}
	}
	return used
}
