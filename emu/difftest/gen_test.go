package difftest

import (
	"slices"

	"callops/emu"
)

// classes are all of them, in the order in which they are reported.
var classes = concat(dataClasses, memoryClasses, controlClasses, anyClasses)

// testCase is a few consecutive words, and the registers
// with which the first is entered.
type testCase struct {
	words   []uint32
	classes []int // of the words that are counted
	regs    emu.Regs
	budget  uint64
}

// single makes a case of one instruction, and of what it needs before it.
func single(s *source, n int) (*testCase, error) {
	c := &classes[n]
	w, err := c.draw(s)
	if err != nil {
		return nil, err
	}
	t := &testCase{classes: []int{n}, regs: s.registers()}
	if c.prefix != nil {
		t.words = c.prefix(s, w)
	}
	t.words = append(t.words, w)
	t.budget = uint64(len(t.words)) + 1
	s.aim(c.kind, w, &t.regs)
	return t, nil
}

func (s *source) registers() emu.Regs {
	r := emu.Regs{SP: s.address(), NZCV: s.uint32() & (0xf << 28), SPEL0: s.value(), TPIDREL0: s.value(), TPIDREL1: s.value()}
	for i := range r.X {
		r.X[i] = s.value()
	}
	return r
}

// aim sets the registers that the word takes an address from so that the
// address is worth something, nine times in ten.
func (s *source) aim(k kind, w uint32, r *emu.Regs) {
	if k == plain || k == ends || s.one(10) {
		return
	}
	switch k {
	case branch:
		to := textBase + uint64(s.n(2*batchCases))*4
		if s.one(4) {
			to = emu.GateBase + uint64(s.n(64))*16
		}
		if w&0xfffffbff == 0xd65f0bff { // retaa
			r.X[30] = to
		}
		setBase(r, rn(w), to)
	case zeroes:
		if rd(w) != 31 {
			r.X[rd(w)] = s.address()
		}
	case atomic:
		to := s.good()
		if s.one(6) {
			to = s.address()
		} else {
			to += uint64(s.n(2)) << (w >> 30)
		}
		setBase(r, rn(w), to)
	case memory, anyAddress:
		to := s.address()
		setBase(r, rn(w), to-s.offset(w, r))
	}
}

func setBase(r *emu.Regs, n uint32, v uint64) {
	if n == 31 {
		r.SP = v
	} else {
		r.X[n] = v
	}
}

// offset is what the word adds to its base; a register offset is made small.
func (s *source) offset(w uint32, r *emu.Regs) uint64 {
	size := w >> 30
	switch {
	case w&0x3b000000 == 0x39000000:
		return uint64(bits(w, 10, 12)) << size
	case w&0x3a000000 == 0x28000000:
		if bits(w, 23, 2) == 1 {
			return 0 // post-indexed
		}
		return signed(w, 15, 7) * (4 << (w >> 31))
	case w&0x3f200c00 == 0x38200800:
		return s.registerOffset(w, r)
	case w&0xff200400 == 0xf8200400: // ldraa
		return (signed(w, 22, 1)<<9 | uint64(bits(w, 12, 9))) * 8
	case w&0x3f200c00 == 0x38000400:
		return 0 // post-indexed
	case w&0x3b200000 == 0x38000000, w&0x3f200c00 == 0x19000000:
		return signed(w, 12, 9)
	}
	return 0
}

func (s *source) registerOffset(w uint32, r *emu.Regs) uint64 {
	off, m := uint64(int64(s.n(64))-32), rm(w)
	if m == 31 {
		return 0
	}
	r.X[m] = off
	switch bits(w, 13, 3) {
	case 2: // uxtw
		off = uint64(uint32(off) & 63)
		r.X[m] = off | uint64(s.uint32())<<32
	case 6: // sxtw
		r.X[m] = off&0xffff_ffff | uint64(s.uint32())<<32
	}
	if bits(w, 12, 1) == 1 {
		off <<= w >> 30
	}
	return off
}

// branches are the classes that may go on elsewhere, others the rest.
var branches, others = func() (branches, others []int) {
	for i, c := range classes {
		if c.kind == branch {
			branches = append(branches, i)
		} else {
			others = append(others, i)
		}
	}
	return branches, others
}()

// straight are the classes that a block is made of, and jumping those it
// branches with.
var straight, jumping = func() (straight, jumping []int) {
	for i, c := range classes {
		switch {
		case c.kind == plain, c.kind == memory, c.kind == atomic, c.kind == zeroes:
			straight = append(straight, i)
		case slices.Contains([]string{"b", "b.cond", "cbz", "cbnz", "tbz", "tbnz"}, c.name):
			jumping = append(jumping, i)
		}
	}
	return straight, jumping
}()
