package asm

import "math/bits"

// Logical instructions: shifted register and bitmask immediate.

// And is rd = rn & rm.
func And(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("and", 0x0a000000, rd, rn, rm, sh, true)
}

// Orr is rd = rn | rm.
func Orr(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("orr", 0x2a000000, rd, rn, rm, sh, true)
}

// Eor is rd = rn ^ rm.
func Eor(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("eor", 0x4a000000, rd, rn, rm, sh, true)
}

// Ands is [And] that sets the flags.
func Ands(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("ands", 0x6a000000, rd, rn, rm, sh, true)
}

// Bic is rd = rn &^ rm.
func Bic(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("bic", 0x0a200000, rd, rn, rm, sh, true)
}

// Orn is rd = rn | ^rm.
func Orn(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("orn", 0x2a200000, rd, rn, rm, sh, true)
}

// Eon is rd = rn ^ ^rm.
func Eon(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("eon", 0x4a200000, rd, rn, rm, sh, true)
}

// Bics is [Bic] that sets the flags.
func Bics(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("bics", 0x6a200000, rd, rn, rm, sh, true)
}

// Tst sets the flags of rn & rm.
func Tst(rn, rm Reg, sh ...Shift) Inst {
	return shifted("tst", 0x6a000000, zr(rn), rn, rm, sh, true)
}

// Mvn is rd = ^rm.
func Mvn(rd, rm Reg, sh ...Shift) Inst {
	return shifted("mvn", 0x2a200000, rd, zr(rd), rm, sh, true)
}

// bitmask places a bitmask immediate.
func bitmask(e *encoding, is64 bool, imm uint64) Inst {
	n, immr, imms, ok := encodeBitmask(imm, is64)
	if !ok {
		e.fail(ErrImmediate, "%#x is no %d-bit bitmask immediate", imm, bitsOf(is64))
	}
	return e.or(n<<22 | immr<<16 | imms<<10).inst()
}

// AndImm is rd = rn & imm, for a bitmask immediate; rd can be SP.
func AndImm(rd, rn Reg, imm uint64) Inst {
	return bitmask(enc("and", 0x12000000).sf(rd, rn).sp(rd, 0).gp(rn, 5), rd.Is64(), imm)
}

// BicImm is [AndImm] of imm's complement.
func BicImm(rd, rn Reg, imm uint64) Inst {
	not := ^imm
	if !rd.Is64() {
		// Flips only the low half, so that a too wide imm is still refused.
		not = imm ^ 0xffffffff
	}
	return bitmask(enc("bic", 0x12000000).sf(rd, rn).sp(rd, 0).gp(rn, 5), rd.Is64(), not)
}

// OrrImm is rd = rn | imm, for a bitmask immediate; rd can be SP.
func OrrImm(rd, rn Reg, imm uint64) Inst {
	return bitmask(enc("orr", 0x32000000).sf(rd, rn).sp(rd, 0).gp(rn, 5), rd.Is64(), imm)
}

// EorImm is rd = rn ^ imm, for a bitmask immediate; rd can be SP.
func EorImm(rd, rn Reg, imm uint64) Inst {
	return bitmask(enc("eor", 0x52000000).sf(rd, rn).sp(rd, 0).gp(rn, 5), rd.Is64(), imm)
}

// AndsImm is rd = rn & imm, for a bitmask immediate, and sets the flags.
func AndsImm(rd, rn Reg, imm uint64) Inst {
	return bitmask(enc("ands", 0x72000000).sf(rd, rn).gp(rd, 0).gp(rn, 5), rd.Is64(), imm)
}

// TstImm sets the flags of rn & imm, for a bitmask immediate.
func TstImm(rn Reg, imm uint64) Inst {
	return bitmask(enc("tst", 0x72000000).sf(rn).gp(zr(rn), 0).gp(rn, 5), rn.Is64(), imm)
}

// encodeBitmask finds the fields of a bitmask immediate: an element of 2, 4,
// ... 64 bits, repeated, that is a rotated run of ones. All zeros and all ones
// are no such value.
//
//	element  N  imms     (s = ones - 1)
//	64       1  ssssss
//	32       0  0sssss
//	16       0  10ssss
//	8        0  110sss
//	4        0  1110ss
//	2        0  11110s
func encodeBitmask(v uint64, is64 bool) (n, immr, imms uint32, ok bool) {
	if !is64 {
		if v>>32 != 0 {
			return 0, 0, 0, false
		}
		v |= v << 32
	}
	if v == 0 || v == ^uint64(0) {
		return 0, 0, 0, false
	}
	size := 64
	for half := 32; half >= 2 && v == bits.RotateLeft64(v, half); half /= 2 {
		size = half
	}
	mask := ^uint64(0) >> (64 - size)
	elem := v & mask
	ones := bits.OnesCount64(elem)
	// Rotate the whole repeated value until the run starts at bit 0: it
	// starts where a one follows a zero.
	start := bits.TrailingZeros64(v &^ bits.RotateLeft64(v, 1))
	if bits.RotateLeft64(v, -start)&mask != ^uint64(0)>>(64-ones) {
		return 0, 0, 0, false
	}
	immr = uint32((size - start) % size)
	imms = uint32(ones-1) | ^uint32(2*size-1)&0x3f
	if size == 64 {
		n, imms = 1, uint32(ones-1)
	}
	return n, immr, imms, true
}

// DecodeBitmask is the inverse of [encodeBitmask]; ok is false for reserved
// fields.
func DecodeBitmask(n, immr, imms uint32, is64 bool) (v uint64, ok bool) {
	size := 64
	switch {
	case n == 0 && imms > 0x3d:
		return 0, false // no zero bit that could tell the element's size
	case n == 0:
		size = 1 << (bits.Len32(^imms&0x3f) - 1)
	case !is64:
		return 0, false
	}
	ones, rot := int(imms)&(size-1)+1, int(immr)&(size-1)
	if ones == size {
		return 0, false
	}
	elem := ^uint64(0) >> (64 - ones)
	for s := size; s < 64; s *= 2 {
		elem |= elem << s
	}
	v = bits.RotateLeft64(elem, -rot)
	if !is64 {
		v &= 0xffffffff
	}
	return v, true
}
