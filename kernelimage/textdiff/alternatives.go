package textdiff

import "fmt"

// callback is ARM64_CB_BIT: a function writes the instructions
// (arch/arm64/include/asm/alternative.h).
const callback = 1 << 15

// capabilities returns the new number of each CPU capability. The numbers are made anew
// with each kernel (arch/arm64/tools/cpucaps), so what most alternatives of functions
// in both kernels say counts.
func capabilities(a, b *side) map[uint16]uint16 {
	votes := make(map[[2]uint16]int)
	for name, in := range a.byName {
		also := b.byName[name]
		if len(in) != 1 || len(also) != 1 {
			continue
		}
		x, y := a.altsIn(&a.funcs[in[0]]), b.altsIn(&b.funcs[also[0]])
		if len(x) != len(y) {
			continue
		}
		for i := range x {
			if x[i].room == y[i].room && x[i].size == y[i].size {
				votes[[2]uint16{x[i].capability, y[i].capability}]++
			}
		}
	}
	numbers, most := make(map[uint16]uint16), make(map[uint16]int)
	for v, n := range votes {
		if old := v[0]; n > most[old] || n == most[old] && v[1] < numbers[old] {
			numbers[old], most[old] = v[1], n
		}
	}
	return numbers
}

// alternatives compares those of two versions of a function.
func (c *comparison) alternatives(p *pairing) (lines []Line) {
	a, b := p.old.alts, p.new.alts
	to := align(len(a), len(b), func(i, j int) bool { return c.sameAlt(p, &a[i], &b[j]) })
	there := make([]bool, len(b))
	for i, j := range to {
		if j < 0 {
			lines = append(lines, p.old.altLines(OldOnly, &a[i])...)
		} else {
			there[j] = true
		}
	}
	for j := range b {
		if !there[j] {
			lines = append(lines, p.new.altLines(NewOnly, &b[j])...)
		}
	}
	return lines
}

func (c *comparison) sameAlt(p *pairing, x, y *replaced) bool {
	number, known := c.capabilities[x.capability]
	if known && number != y.capability || x.capability&callback != y.capability&callback ||
		x.room != y.room || len(x.by) != len(y.by) || !p.meet(int(x.index), int(y.index)) {
		return false
	}
	if len(x.by) == 0 {
		return sameAddr(c.old.space, x.source, c.new.space, y.source)
	}
	for i := range x.by {
		if !sameInsn(p.old, &x.by[i], p.new, &y.by[i]) || x.by[i].to != y.by[i].to {
			return false
		}
	}
	return true
}

func (c *code) altLines(op Op, r *replaced) []Line {
	line := func(format string, args ...any) Line {
		l := Line{Op: op, Old: -1, New: -1, Text: fmt.Sprintf(format, args...)}
		if at := c.offset(int(min(r.index, int32(len(c.insns)-1)))); op == OldOnly {
			l.Old = at
		} else {
			l.New = at
		}
		return l
	}
	if len(r.by) == 0 {
		return []Line{line("alternative by %s", c.name(r.source))}
	}
	var lines []Line
	for i := range r.by {
		lines = append(lines, line("alternative for CPU capability %d: %s", r.capability&^callback, c.text(&r.by[i])))
	}
	return lines
}
