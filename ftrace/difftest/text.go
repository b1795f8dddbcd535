package difftest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"callops/asm"
	"callops/emu"
)

// texts compares call sites of the two machines.
type texts struct {
	p               *Pair
	ours, image     window
	oursOf, imageOf map[uint64]int
	same            [2]uint64 // literals that were found to name the same ops
}

// window is the region of memory that was read last: sites lie side by side.
type window struct {
	mem *emu.Memory
	r   *emu.Region
}

// at is what lies in [lo, hi); nil where that is not in one region.
func (w *window) at(lo, hi uint64) []byte {
	if w.r == nil || lo < w.r.Base || hi > w.r.End() {
		if w.r = w.mem.Region(lo); w.r == nil || hi > w.r.End() {
			w.r = nil
			return nil
		}
	}
	return w.r.Host()[lo-w.r.Base : hi-w.r.Base]
}

// literal is where the literal of the site of the i-th record is; 0: it has none.
func (p *Pair) literal(i int, ip uint64) uint64 {
	for len(p.literals) <= i {
		p.literals = append(p.literals, literal{})
	}
	if l := p.literals[i]; l.ip == ip {
		return l.at
	}
	k := p.ours.m.Kernel
	site, ok := k.Image.Site(ip)
	if !ok { // a module's: another one may come to lie there
		site, _ = k.Site(ip)
		return site.Literal
	}
	p.literals[i] = literal{ip, site.Literal}
	return site.Literal
}

// literal is where that of a site is.
type literal struct{ ip, at uint64 }

// compare compares the words of a site, and its literal, which lies in front of them.
func (t *texts) compare(ip, literal uint64) error {
	lo := ip - 4
	if literal != 0 && literal < ip {
		lo = literal
	}
	a, b := t.ours.at(lo, ip+4), t.image.at(lo, ip+4)
	if a == nil || b == nil {
		return t.p.differ("the site "+t.p.ours.m.Kernel.Symbols.Format(ip), fmt.Sprintf("mapped: %t", a != nil), fmt.Sprintf("mapped: %t", b != nil))
	}
	if bytes.Equal(a, b) {
		return nil
	}
	for _, w := range []uint64{ip - 4, ip} {
		x, y := binary.LittleEndian.Uint32(a[w-lo:]), binary.LittleEndian.Uint32(b[w-lo:])
		if x != y && t.p.ours.word(w, x) != t.p.image.word(w, y) {
			return t.p.differ("the word at "+t.p.ours.m.Kernel.Symbols.Format(w), t.p.ours.word(w, x), t.p.image.word(w, y))
		}
	}
	if literal == 0 {
		return nil
	}
	return t.compareLiteral(ip, binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b))
}

// compareLiteral compares which ops two literals name.
func (t *texts) compareLiteral(ip, x, y uint64) error {
	p := t.p
	switch {
	case x == y, t.same == [2]uint64{x, y}:
		return nil
	case t.oursOf[x] != 0 && t.oursOf[x] == t.imageOf[y]:
		t.same = [2]uint64{x, y}
		return nil
	case p.leftovers && (slices.Contains(p.ours.gone, x) || slices.Contains(p.image.gone, y)):
		return nil // another may have been made in its place
	}
	return p.differ("the literal of "+p.ours.m.Kernel.Symbols.Format(ip), p.ours.describe(x), p.image.describe(y))
}

// word is a word of text: what it calls, where that is a direct trampoline, which need not lie at the
// same address.
func (s *side) word(pc uint64, w uint32) string {
	target, link, ok := asm.DecodeBranch(pc, w)
	if i := slices.Index(s.directs[:], target); ok && link && i >= 0 {
		return fmt.Sprintf("bl direct%d", i)
	}
	return fmt.Sprintf("%#08x", w)
}
