package asm

// Bitfield moves, shifts and extensions, which are aliases of them.

func bitfield(op string, word uint32, rd, rn Reg, immr, imms int) Inst {
	e := enc(op, word).sf(rd, rn).gp(rd, 0).gp(rn, 5)
	top := bitsOf(rd.Is64()) - 1
	if e.within("immr", immr, 0, top) && e.within("imms", imms, 0, top) {
		e.or(uint32(immr)<<16 | uint32(imms)<<10)
	}
	if rd.Is64() {
		e.or(1 << 22)
	}
	return e.inst()
}

const (
	opSbfm = 0x13000000
	opBfm  = 0x33000000
	opUbfm = 0x53000000
)

// Ubfm is the unsigned bitfield move that the right shifts, uxtb and ubfx are
// aliases of.
func Ubfm(rd, rn Reg, immr, imms int) Inst { return bitfield("ubfm", opUbfm, rd, rn, immr, imms) }

// Sbfm is the signed bitfield move.
func Sbfm(rd, rn Reg, immr, imms int) Inst { return bitfield("sbfm", opSbfm, rd, rn, immr, imms) }

// Bfm is the bitfield move that keeps rd's other bits.
func Bfm(rd, rn Reg, immr, imms int) Inst { return bitfield("bfm", opBfm, rd, rn, immr, imms) }

// field checks a bit field and encodes it by the alias's own rule.
func field(op string, word uint32, rd, rn Reg, lsb, width int, insert bool) Inst {
	e, size := enc(op, word), bitsOf(rd.Is64())
	if !e.within("lsb", lsb, 0, size-1) || !e.within("width", width, 1, size-lsb) {
		return e.inst()
	}
	if insert {
		return bitfield(op, word, rd, rn, (size-lsb)%size, width-1)
	}
	return bitfield(op, word, rd, rn, lsb, lsb+width-1)
}

// Ubfx copies width bits of rn from lsb to the low end of rd, zero extended.
func Ubfx(rd, rn Reg, lsb, width int) Inst {
	return field("ubfx", opUbfm, rd, rn, lsb, width, false)
}

// Sbfx copies width bits of rn from lsb to the low end of rd, sign extended.
func Sbfx(rd, rn Reg, lsb, width int) Inst {
	return field("sbfx", opSbfm, rd, rn, lsb, width, false)
}

// Bfi copies the low width bits of rn into rd at lsb.
func Bfi(rd, rn Reg, lsb, width int) Inst { return field("bfi", opBfm, rd, rn, lsb, width, true) }

// Bfxil copies width bits of rn from lsb into the low end of rd.
func Bfxil(rd, rn Reg, lsb, width int) Inst {
	return field("bfxil", opBfm, rd, rn, lsb, width, false)
}

// LslImm is rd = rn << shift.
func LslImm(rd, rn Reg, shift int) Inst {
	size := bitsOf(rd.Is64())
	e := enc("lsl", 0)
	if !e.within("shift", shift, 0, size-1) {
		return e.inst()
	}
	return bitfield("lsl", opUbfm, rd, rn, (size-shift)%size, size-1-shift)
}

func shiftRight(op string, word uint32, rd, rn Reg, shift int) Inst {
	top := bitsOf(rd.Is64()) - 1
	e := enc(op, 0)
	if !e.within("shift", shift, 0, top) {
		return e.inst()
	}
	return bitfield(op, word, rd, rn, shift, top)
}

// LsrImm is rd = rn >> shift, unsigned.
func LsrImm(rd, rn Reg, shift int) Inst { return shiftRight("lsr", opUbfm, rd, rn, shift) }

// AsrImm is rd = rn >> shift, signed.
func AsrImm(rd, rn Reg, shift int) Inst { return shiftRight("asr", opSbfm, rd, rn, shift) }

func extract(op string, rd, rn, rm Reg, lsb int) Inst {
	e := enc(op, 0x13800000).sf(rd, rn, rm).gp(rd, 0).gp(rn, 5).gp(rm, 16)
	if e.within("lsb", lsb, 0, bitsOf(rd.Is64())-1) {
		e.or(uint32(lsb) << 10)
	}
	if rd.Is64() {
		e.or(1 << 22)
	}
	return e.inst()
}

// Extr takes a register's worth of bits from rn:rm, starting at lsb of rm.
func Extr(rd, rn, rm Reg, lsb int) Inst { return extract("extr", rd, rn, rm, lsb) }

// RorImm rotates rn right by shift bits.
func RorImm(rd, rn Reg, shift int) Inst { return extract("ror", rd, rn, rn, shift) }

// Lsl is rd = rn << rm, modulo the width.
func Lsl(rd, rn, rm Reg) Inst { return threeReg("lsl", 0x1ac02000, rd, rn, rm) }

// Lsr is rd = rn >> rm, unsigned, modulo the width.
func Lsr(rd, rn, rm Reg) Inst { return threeReg("lsr", 0x1ac02400, rd, rn, rm) }

// Asr is rd = rn >> rm, signed, modulo the width.
func Asr(rd, rn, rm Reg) Inst { return threeReg("asr", 0x1ac02800, rd, rn, rm) }

// Ror rotates rn right by rm bits, modulo the width.
func Ror(rd, rn, rm Reg) Inst { return threeReg("ror", 0x1ac02c00, rd, rn, rm) }

// extend encodes an extension from a W register.
func extend(op string, word uint32, rd, rn Reg, imms uint32) Inst {
	e := enc(op, word).need(false, rn).gp(rd, 0).gp(rn, 5).or(imms << 10)
	if rd.Is64() {
		e.or(1<<31 | 1<<22)
	}
	return e.inst()
}

// Uxtb zero-extends a byte; both are W registers, as a W write clears the rest.
func Uxtb(rd, rn Reg) Inst { return unsignedExtend("uxtb", rd, rn, 7) }

// Uxth zero-extends a halfword; both are W registers.
func Uxth(rd, rn Reg) Inst { return unsignedExtend("uxth", rd, rn, 15) }

func unsignedExtend(op string, rd, rn Reg, imms uint32) Inst {
	if e := enc(op, 0).need(false, rd); e.err != nil {
		return e.inst()
	}
	return extend(op, opUbfm, rd, rn, imms)
}

// Sxtb sign-extends a byte of the W register rn to rd's width.
func Sxtb(rd, rn Reg) Inst { return extend("sxtb", opSbfm, rd, rn, 7) }

// Sxth sign-extends a halfword of the W register rn to rd's width.
func Sxth(rd, rn Reg) Inst { return extend("sxth", opSbfm, rd, rn, 15) }

// Sxtw sign-extends the W register rn to the X register rd.
func Sxtw(rd, rn Reg) Inst {
	if e := enc("sxtw", 0).need(true, rd); e.err != nil {
		return e.inst()
	}
	return extend("sxtw", opSbfm, rd, rn, 31)
}
