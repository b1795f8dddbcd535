package asm

// Moves: register, wide immediate, and the shortest sequence for a constant.

// Mov is rd = rm. With SP on either side it is add rd, rm, #0.
func Mov(rd, rm Reg) Inst {
	if rd.isSP() || rm.isSP() {
		return enc("mov", 0x11000000).sf(rd, rm).sp(rd, 0).sp(rm, 5).inst()
	}
	return shifted("mov", 0x2a000000, rd, zr(rd), rm, nil, false)
}

func wide(op string, word uint32, rd Reg, imm16 uint16, shift int) Inst {
	e := enc(op, word).sf(rd).gp(rd, 0).or(uint32(imm16) << 5)
	if shift%16 != 0 || shift < 0 || shift >= bitsOf(rd.Is64()) {
		e.fail(ErrImmediate, "shift %d is not a multiple of 16 below %d", shift, bitsOf(rd.Is64()))
		return e.inst()
	}
	return e.or(uint32(shift/16) << 21).inst()
}

// Movz is rd = imm16 << shift.
func Movz(rd Reg, imm16 uint16, shift int) Inst { return wide("movz", 0x52800000, rd, imm16, shift) }

// Movn is rd = ^(imm16 << shift).
func Movn(rd Reg, imm16 uint16, shift int) Inst { return wide("movn", 0x12800000, rd, imm16, shift) }

// Movk replaces the 16 bits of rd at shift.
func Movk(rd Reg, imm16 uint16, shift int) Inst { return wide("movk", 0x72800000, rd, imm16, shift) }

// MovImm loads a constant with the fewest instructions that start with movz,
// movn or orr of a bitmask immediate and go on with movk. For a W register v
// has at most 32 bits.
func MovImm(rd Reg, v uint64) []Inst {
	e := enc("mov", 0).sf(rd).gp(rd, 0)
	halves := 4
	if !rd.Is64() {
		halves = 2
		if v>>32 != 0 {
			e.fail(ErrImmediate, "%#x does not fit %v", v, rd)
		}
	}
	if e.err != nil {
		return []Inst{e.inst()}
	}
	best := moveWide(rd, v, halves)
	// With k movk the orr has k halfwords to choose freely, so try what
	// could complete its pattern.
	for k := 0; k+1 < len(best); k++ {
		if seq := movePattern(rd, v, halves, k); seq != nil {
			return seq
		}
	}
	return best
}

// moveWide is movz or movn, whichever leaves fewer halfwords, then movk.
func moveWide(rd Reg, v uint64, halves int) []Inst {
	var zeros, ones int
	for i := range halves {
		switch half(v, i) {
		case 0:
			zeros++
		case 0xffff:
			ones++
		}
	}
	fill := uint16(0)
	if ones > zeros {
		fill = 0xffff
	}
	var seq []Inst
	for i := range halves {
		h := half(v, i)
		switch {
		case h == fill:
		case len(seq) > 0:
			seq = append(seq, Movk(rd, h, 16*i))
		case fill == 0:
			seq = append(seq, Movz(rd, h, 16*i))
		default:
			seq = append(seq, Movn(rd, ^h, 16*i))
		}
	}
	if len(seq) > 0 {
		return seq
	}
	if fill == 0 {
		return []Inst{Movz(rd, 0, 0)}
	}
	return []Inst{Movn(rd, 0, 0)}
}

// movePattern is orr of a bitmask immediate that differs from v in k
// halfwords at most, then movk for those; nil if there is none.
func movePattern(rd Reg, v uint64, halves, k int) []Inst {
	var search func(from, left int, w uint64) (uint64, bool)
	search = func(from, left int, w uint64) (uint64, bool) {
		if _, _, _, ok := encodeBitmask(w, rd.Is64()); ok {
			return w, true
		}
		if left == 0 {
			return 0, false
		}
		for i := from; i < halves; i++ {
			for _, h := range [...]uint16{0, 0xffff, half(v, 0), half(v, 1), half(v, 2), half(v, 3)} {
				if got, ok := search(i+1, left-1, w&^(0xffff<<(16*i))|uint64(h)<<(16*i)); ok {
					return got, true
				}
			}
		}
		return 0, false
	}
	w, ok := search(0, k, v)
	if !ok {
		return nil
	}
	seq := []Inst{OrrImm(rd, zr(rd), w)}
	for i := range halves {
		if half(v, i) != half(w, i) {
			seq = append(seq, Movk(rd, half(v, i), 16*i))
		}
	}
	return seq
}

func half(v uint64, i int) uint16 { return uint16(v >> (16 * i)) }
