package textdiff

import (
	"encoding/binary"
	"slices"

	"callops/asm"
	"callops/kernelimage"
)

// side is one of the two kernels.
type side struct {
	*space
	tables
	funcs   []function
	byName  map[string][]int // of all names that functions have
	callers map[int][]int    // the functions that branch to the start of one
}

// newSide prepares a kernel; labels are the names of labels in functions, of both.
func newSide(s *space, labels map[string]bool) *side {
	d := &side{
		space: s, tables: tables{jumps: s.jumps(), alts: s.alternatives(), literals: make(map[uint64]uint64)},
		byName: make(map[string][]int), callers: make(map[int][]int),
	}
	d.funcs = s.functions(func(_ *function, group []kernelimage.Symbol, _ uint64) bool {
		return slices.ContainsFunc(group, func(sym kernelimage.Symbol) bool { return labels[sym.Name] })
	})
	for i := range d.funcs {
		for _, name := range d.funcs[i].names {
			d.byName[name] = append(d.byName[name], i)
		}
	}
	d.scan()
	return d
}

// scan goes through the text once, for who calls which function and for literals.
func (d *side) scan() {
	starts := make(map[uint64]int, len(d.funcs))
	for i := range d.funcs {
		starts[d.funcs[i].Start] = i
	}
	for i := range d.funcs {
		f := &d.funcs[i]
		code := d.bytes(f.Start)
		code = code[:min(f.size(), uint64(len(code)))]
		for pc := f.Start; len(code) >= 4; pc, code = pc+4, code[4:] {
			w := binary.LittleEndian.Uint32(code)
			if target, _, ok := asm.DecodeBranch(pc, w); ok {
				if to, ok := starts[target]; ok && to != i {
					d.callers[to] = append(d.callers[to], i)
				}
			} else if size := literalSize(w); isLiteral(w) && size > 0 {
				if target, _, _, _ := pcRelative(pc, w); d.inText(target) && !f.Contains(target) {
					d.literals[target] = size
				}
			}
		}
	}
}

// code is a function's instructions that are compared, and where its alternatives stand
// among them.
type code struct {
	start uint64
	*side
	insns []insn
	alts  []replaced
}

// replaced is an alternative in a function: n instructions from at on, and those that
// replace them.
type replaced struct {
	alternative
	index int32
	by    []insn
}

// code decodes a function, without the NOPs that align what is branched to.
func (d *side) code(f *function) *code {
	b := d.decode(f, &d.tables)
	alts := d.altsIn(f)
	special := make([]bool, len(b.code))
	for _, a := range alts {
		for pc := a.at; pc < a.at+uint64(a.room); pc += 4 {
			if i := b.index(pc); i != none {
				special[i] = true
			}
		}
	}
	kept := keep(b.code, special)
	c := &code{side: d, start: f.Start}
	moved := make([]int32, len(b.code))
	for i := range b.code {
		moved[i] = int32(len(c.insns))
		if kept[i] {
			c.insns = append(c.insns, b.code[i])
		}
	}
	for i := range c.insns {
		if to := c.insns[i].to; to != none {
			c.insns[i].to = min(moved[to], int32(len(c.insns)-1))
		}
	}
	for _, a := range alts {
		at := b.index(a.at)
		if at == none {
			continue
		}
		r := replaced{alternative: a, index: moved[at]}
		if a.size > 0 {
			r.by = d.decode(&function{Range: kernelimage.Range{Start: a.source, End: a.source + uint64(a.size)}}, &tables{}).code
		}
		c.alts = append(c.alts, r)
	}
	return c
}

// altsIn is the alternatives of instructions in a function.
func (d *side) altsIn(f *function) []alternative {
	from := lowerBound(d.alts, f.Start)
	to := lowerBound(d.alts, f.Start+min(f.size(), maxFunction))
	return d.alts[from:to]
}

func lowerBound(alts []alternative, addr uint64) int {
	i, _ := slices.BinarySearchFunc(alts, addr, func(a alternative, addr uint64) int {
		if a.at < addr {
			return -1
		}
		return 1
	})
	return i
}

// alignment is what compilers align what is branched to, in bytes: gcc's -falign-labels
// and -falign-loops take no more NOPs than these need.
const (
	alignment = 8
	mostPads  = 7 // up to 32 bytes
)

// keep tells which instructions are not NOPs that align the next one: what is branched
// to, on an even address, and not the place of an alternative.
func keep(insns []insn, special []bool) []bool {
	targets := make([]bool, len(insns)+1)
	for i := range insns {
		if insns[i].to != none {
			targets[insns[i].to] = true
		}
	}
	kept := make([]bool, len(insns))
	for i := range insns {
		kept[i] = true
		if !targets[i] || insns[i].pc%alignment != 0 {
			continue
		}
		for k := i - 1; k >= 0 && i-k <= mostPads; k-- {
			p := &insns[k]
			if p.raw != asm.NOP || p.kind != refNone || targets[k] || special[k] {
				break
			}
			kept[k] = false
		}
	}
	return kept
}

// sameInsn reports whether two instructions do the same, wherever they branch to in
// their function.
func sameInsn(a *code, x *insn, b *code, y *insn) bool {
	if x.word != y.word || (x.to == none) != (y.to == none) {
		return false
	}
	switch {
	case x.kind == refAnchor && y.kind == refAnchor:
		return true
	case x.kind != y.kind && (x.kind != refAnchor || y.kind != refLow) && (x.kind != refLow || y.kind != refAnchor):
		return false
	case x.kind == refNone, x.kind == refData && x.ref == 0 && y.ref == 0:
		return true
	case x.kind == refLiteral:
		v, okV := a.literalValue(x)
		w, okW := b.literalValue(y)
		return okV == okW && (v == w || sameAddr(a.space, v, b.space, w))
	}
	return sameAddr(a.space, x.ref, b.space, y.ref)
}

// literalValue is what an instruction loads that refers to a literal: its first doubleword.
func (c *code) literalValue(in *insn) (uint64, bool) {
	if literalSize(in.raw) < 8 {
		w, ok := c.word(in.ref)
		return uint64(w), ok
	}
	return c.quad(in.ref)
}

// pairing is how the instructions of two versions of a function correspond.
type pairing struct {
	old, new *code
	to       []int // by instruction of old; -1: it is gone
	from     []int // the other way round
	changed  bool
}

func pair(a, b *code) *pairing {
	p := &pairing{old: a, new: b}
	p.to = align(len(a.insns), len(b.insns), func(i, j int) bool { return sameInsn(a, &a.insns[i], b, &b.insns[j]) })
	p.from = make([]int, len(b.insns))
	for j := range p.from {
		p.from[j] = -1
	}
	for i, j := range p.to {
		if j >= 0 {
			p.from[j] = i
		}
	}
	// A branch that leads elsewhere than its counterpart is another one.
	var elsewhere []int
	for i, j := range p.to {
		if j >= 0 && a.insns[i].to != none && !p.meet(int(a.insns[i].to), int(b.insns[j].to)) {
			elsewhere = append(elsewhere, i)
		}
	}
	for _, i := range elsewhere {
		p.from[p.to[i]], p.to[i] = -1, -1
	}
	p.changed = slices.Contains(p.to, -1) || slices.Contains(p.from, -1)
	return p
}

// meet reports whether places in the two versions correspond: the instructions do, or
// they are in the same gap between some that do.
func (p *pairing) meet(i, j int) bool {
	if p.to[i] == j {
		return true
	}
	for i > 0 && p.to[i-1] < 0 {
		i--
	}
	for j > 0 && p.from[j-1] < 0 {
		j--
	}
	return i == 0 && j == 0 || i > 0 && j > 0 && p.to[i-1] == j-1
}
