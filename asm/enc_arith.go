package asm

// Multiply, divide, count, reverse and CRC.

func fourReg(op string, word uint32, rd, rn, rm, ra Reg) Inst {
	return enc(op, word).sf(rd, rn, rm, ra).gp(rd, 0).gp(rn, 5).gp(rm, 16).gp(ra, 10).inst()
}

// Madd is rd = ra + rn*rm.
func Madd(rd, rn, rm, ra Reg) Inst { return fourReg("madd", 0x1b000000, rd, rn, rm, ra) }

// Msub is rd = ra - rn*rm.
func Msub(rd, rn, rm, ra Reg) Inst { return fourReg("msub", 0x1b008000, rd, rn, rm, ra) }

// Mul is rd = rn*rm.
func Mul(rd, rn, rm Reg) Inst { return fourReg("mul", 0x1b000000, rd, rn, rm, zr(rd)) }

// Udiv is rd = rn / rm, unsigned; division by zero gives zero.
func Udiv(rd, rn, rm Reg) Inst { return threeReg("udiv", 0x1ac00800, rd, rn, rm) }

// Sdiv is rd = rn / rm, signed; division by zero gives zero.
func Sdiv(rd, rn, rm Reg) Inst { return threeReg("sdiv", 0x1ac00c00, rd, rn, rm) }

func highMul(op string, word uint32, rd, rn, rm Reg) Inst {
	return enc(op, word).need(true, rd, rn, rm).gp(rd, 0).gp(rn, 5).gp(rm, 16).inst()
}

// Umulh is the upper 64 bits of the unsigned product of X registers.
func Umulh(rd, rn, rm Reg) Inst { return highMul("umulh", 0x9bc07c00, rd, rn, rm) }

// Smulh is the upper 64 bits of the signed product of X registers.
func Smulh(rd, rn, rm Reg) Inst { return highMul("smulh", 0x9b407c00, rd, rn, rm) }

func longMul(op string, word uint32, rd, rn, rm Reg) Inst {
	return enc(op, word).need(true, rd).need(false, rn, rm).gp(rd, 0).gp(rn, 5).gp(rm, 16).inst()
}

// Umull is the 64-bit unsigned product of W registers.
func Umull(rd, rn, rm Reg) Inst { return longMul("umull", 0x9ba07c00, rd, rn, rm) }

// Smull is the 64-bit signed product of W registers.
func Smull(rd, rn, rm Reg) Inst { return longMul("smull", 0x9b207c00, rd, rn, rm) }

func twoReg(op string, word uint32, rd, rn Reg) Inst {
	return enc(op, word).sf(rd, rn).gp(rd, 0).gp(rn, 5).inst()
}

// Clz counts leading zeros.
func Clz(rd, rn Reg) Inst { return twoReg("clz", 0x5ac01000, rd, rn) }

// Cls counts the bits after the top one that equal it.
func Cls(rd, rn Reg) Inst { return twoReg("cls", 0x5ac01400, rd, rn) }

// Rbit reverses the bits.
func Rbit(rd, rn Reg) Inst { return twoReg("rbit", 0x5ac00000, rd, rn) }

// Rev16 reverses the bytes of each halfword.
func Rev16(rd, rn Reg) Inst { return twoReg("rev16", 0x5ac00400, rd, rn) }

// Rev reverses the bytes of the register.
func Rev(rd, rn Reg) Inst {
	if rd.Is64() {
		return twoReg("rev", 0x5ac00c00, rd, rn)
	}
	return twoReg("rev", 0x5ac00800, rd, rn)
}

// Rev32 reverses the bytes of each word of an X register.
func Rev32(rd, rn Reg) Inst {
	if e := enc("rev32", 0).need(true, rd, rn); e.err != nil {
		return e.inst()
	}
	return twoReg("rev32", 0x5ac00800, rd, rn)
}

// crc accumulates rm into rn; rm is an X register for the doubleword form only.
func crc(op string, word uint32, rd, rn, rm Reg, wide bool) Inst {
	return enc(op, word).need(false, rd, rn).need(wide, rm).gp(rd, 0).gp(rn, 5).gp(rm, 16).inst()
}

// Crc32b adds a byte to a CRC-32 (polynomial 0x04c11db7).
func Crc32b(rd, rn, rm Reg) Inst { return crc("crc32b", 0x1ac04000, rd, rn, rm, false) }

// Crc32h adds a halfword to a CRC-32.
func Crc32h(rd, rn, rm Reg) Inst { return crc("crc32h", 0x1ac04400, rd, rn, rm, false) }

// Crc32w adds a word to a CRC-32.
func Crc32w(rd, rn, rm Reg) Inst { return crc("crc32w", 0x1ac04800, rd, rn, rm, false) }

// Crc32x adds the X register rm to a CRC-32.
func Crc32x(rd, rn, rm Reg) Inst { return crc("crc32x", 0x9ac04c00, rd, rn, rm, true) }

// Crc32cb adds a byte to a CRC-32C (polynomial 0x1edc6f41).
func Crc32cb(rd, rn, rm Reg) Inst { return crc("crc32cb", 0x1ac05000, rd, rn, rm, false) }

// Crc32ch adds a halfword to a CRC-32C.
func Crc32ch(rd, rn, rm Reg) Inst { return crc("crc32ch", 0x1ac05400, rd, rn, rm, false) }

// Crc32cw adds a word to a CRC-32C.
func Crc32cw(rd, rn, rm Reg) Inst { return crc("crc32cw", 0x1ac05800, rd, rn, rm, false) }

// Crc32cx adds the X register rm to a CRC-32C.
func Crc32cx(rd, rn, rm Reg) Inst { return crc("crc32cx", 0x9ac05c00, rd, rn, rm, true) }
