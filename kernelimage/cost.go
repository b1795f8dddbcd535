package kernelimage

import (
	"encoding/binary"
	"fmt"

	"callops/asm"
	"callops/internal/errno"
)

// Cost is what call sites take of an image's text, in bytes, measured in the
// image.
type Cost struct {
	Text     uint64 // all instructions, and what lies between functions
	Sites    int
	Slots    uint64 // the two words at the start of each traced function
	Literals uint64 // the pre-function words of CALL_OPS
	Padding  uint64 // fill of less than 8 bytes between functions: what aligning them to 8 takes
}

// CallOps is the part that CALL_OPS causes: literals, and the alignment that
// lets a literal be stored in one piece.
func (c Cost) CallOps() uint64 { return c.Literals + c.Padding }

// Percent is CallOps as a share of the text without it.
func (c Cost) Percent() float64 { return percent(int64(c.CallOps()), c.Text-c.CallOps()) }

func percent(part int64, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// TextCost measures what the call sites cost. Padding is told from code by the
// symbols' sizes, so an image without sized functions is refused with ENOENT; in a
// kernel's raw Image, which has no sizes, it is told by what stands there. Sites
// that are freed after boot do not count.
func (img *Image) TextCost() (c Cost, err error) {
	if closed := img.reading(func() { c, err = img.textCost() }); closed != nil {
		return Cost{}, closed
	}
	return c, err
}

func (img *Image) textCost() (Cost, error) {
	var c Cost
	for _, r := range img.text {
		c.Text += r.End - r.Start
	}
	literals := make(map[uint64]bool, len(img.sites)) // by function
	for _, s := range img.sites {
		if s.Init {
			continue
		}
		c.Sites++
		c.Slots += 8
		if s.Literal != 0 {
			c.Literals += 8
			literals[s.Func()] = true
		}
	}
	if img.linux != nil {
		c.Padding = img.fillBefore(literals)
		return c, nil
	}
	var end uint64 // of the functions so far
	for _, f := range img.symbols {
		if !f.Func || f.Size == 0 || !img.inText(f.Addr) {
			continue
		}
		start := f.Addr
		if literals[start] {
			start -= 8
		}
		if end != 0 && start > end && start-end < 8 && img.isFill(end, start) {
			c.Padding += start - end
		}
		end = max(end, f.Addr+f.Size)
	}
	if end == 0 {
		return Cost{}, fmt.Errorf("%s: no symbol of a function tells its size: %w", img.name, errno.ENOENT)
	}
	return c, nil
}

// fillBefore counts fill of one word before functions, for an image whose
// symbols have no sizes. A function's last instruction is no NOP, so a single
// NOP or zero in front of an 8-aligned function is what aligned it.
func (img *Image) fillBefore(literals map[uint64]bool) (padding uint64) {
	if !img.callOps {
		return 0
	}
	last := uint64(0)
	for _, f := range img.symbols {
		start := f.Addr
		if !f.Func || start == last || start%8 != 0 || !img.inText(start) {
			continue
		}
		last = start
		if literals[start] {
			start -= 8
		}
		if img.isFill(start-4, start) && !img.isFill(start-8, start-4) {
			padding += 4
		}
	}
	return padding
}

// isFill reports whether [start, end) is text that holds nothing but NOPs and
// zeros.
func (img *Image) isFill(start, end uint64) bool {
	b, ok := img.read(start, end-start)
	if !ok || !img.inText(start) || !img.inText(end-1) {
		return false
	}
	for len(b)%4 != 0 && b[0] == 0 {
		b = b[1:]
	}
	for ; len(b) >= 4; b = b[4:] {
		if w := binary.LittleEndian.Uint32(b); w != 0 && !asm.IsNop(w) {
			return false
		}
	}
	return len(b) == 0
}

// Growth compares the text of two builds of the same source.
type Growth struct {
	With, Without Cost
	Bytes         int64
	Percent       float64
}

// TextGrowth returns how much larger the text of with is than that of without.
func TextGrowth(with, without *Image) (Growth, error) {
	a, err := with.TextCost()
	if err != nil {
		return Growth{}, err
	}
	b, err := without.TextCost()
	if err != nil {
		return Growth{}, err
	}
	g := Growth{With: a, Without: b, Bytes: int64(a.Text - b.Text)}
	g.Percent = percent(g.Bytes, b.Text)
	return g, nil
}
