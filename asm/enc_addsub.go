package asm

// Add and subtract: shifted register, extended register, immediate, with
// carry (DDI 0487 C4.1, data processing).

func oneShift(e *encoding, sh []Shift) Shift {
	if len(sh) > 1 {
		e.fail(ErrImmediate, "%d shifts, one at most", len(sh))
	}
	if len(sh) == 0 {
		return Shift{}
	}
	return sh[0]
}

// shifted encodes op rd, rn, rm{, shift}.
func shifted(op string, word uint32, rd, rn, rm Reg, sh []Shift, ror bool) Inst {
	e := enc(op, word).sf(rd, rn, rm).gp(rd, 0).gp(rn, 5).gp(rm, 16)
	s := oneShift(e, sh)
	if s.kind == shiftROR && !ror {
		e.fail(ErrImmediate, "%v: arithmetic takes lsl, lsr or asr", s)
	}
	if e.within("shift", s.amount, 0, bitsOf(rd.Is64())-1) {
		e.or(uint32(s.kind)<<22 | uint32(s.amount)<<10)
	}
	return e.inst()
}

// Add is add rd, rn, rm{, shift}. SP needs [AddExt] or [AddImm].
func Add(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("add", 0x0b000000, rd, rn, rm, sh, false)
}

// Adds is [Add] that sets the flags.
func Adds(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("adds", 0x2b000000, rd, rn, rm, sh, false)
}

// Sub is sub rd, rn, rm{, shift}. SP needs [SubExt] or [SubImm].
func Sub(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("sub", 0x4b000000, rd, rn, rm, sh, false)
}

// Subs is [Sub] that sets the flags.
func Subs(rd, rn, rm Reg, sh ...Shift) Inst {
	return shifted("subs", 0x6b000000, rd, rn, rm, sh, false)
}

// Cmp sets the flags of rn - rm. With rn the stack pointer it takes the
// extended form, which has LSL by 0 to 4 only.
func Cmp(rn, rm Reg, sh ...Shift) Inst {
	if !rn.isSP() {
		return shifted("cmp", 0x6b000000, zr(rn), rn, rm, sh, false)
	}
	e := enc("cmp", 0x6b200000).gp(zr(rn), 0)
	s := oneShift(e, sh)
	if s.kind != shiftLSL {
		e.fail(ErrImmediate, "%v: with sp only lsl", s)
	}
	ext := UXTX
	if !rn.Is64() {
		ext = UXTW
	}
	return extended(e, rn, rn, rm, ext, s.amount)
}

// Cmn sets the flags of rn + rm.
func Cmn(rn, rm Reg, sh ...Shift) Inst {
	return shifted("cmn", 0x2b000000, zr(rn), rn, rm, sh, false)
}

// Neg is rd = -rm.
func Neg(rd, rm Reg, sh ...Shift) Inst {
	return shifted("neg", 0x4b000000, rd, zr(rd), rm, sh, false)
}

// zr is the zero register of r's width.
func zr(r Reg) Reg { return WZR | r&reg64 }

// extended encodes the operands of an extended register form after rd.
func extended(e *encoding, rd, rn, rm Reg, ext Ext, amount int) Inst {
	e.sf(rd, rn).sp(rn, 5).gp(rm, 16)
	switch {
	case ext > SXTX:
		e.fail(ErrImmediate, "%v is not an extension", ext)
	case ext.takes64() && rd.Is64():
		e.need(true, rm)
	default:
		e.need(false, rm)
	}
	return e.or(uint32(ext&7)<<13).imm("shift", checkMax(e, amount, 4), 3, 10).inst()
}

func checkMax(e *encoding, v, hi int) int {
	if !e.within("shift", v, 0, hi) {
		return 0
	}
	return v
}

// AddExt is add rd, rn, rm, ext #amount, with amount 0 to 4. rd and rn can be
// SP; rm is a W register except for UXTX and SXTX.
func AddExt(rd, rn, rm Reg, ext Ext, amount int) Inst {
	return extended(enc("add", 0x0b200000).sp(rd, 0), rd, rn, rm, ext, amount)
}

// SubExt is sub rd, rn, rm, ext #amount, as [AddExt].
func SubExt(rd, rn, rm Reg, ext Ext, amount int) Inst {
	return extended(enc("sub", 0x4b200000).sp(rd, 0), rd, rn, rm, ext, amount)
}

// imm12 encodes 12 bits, shifted left by 12 where that is what fits.
func imm12(e *encoding, imm uint64) Inst {
	switch {
	case imm < 1<<12:
		e.or(uint32(imm) << 10)
	case imm < 1<<24 && imm&0xfff == 0:
		e.or(1<<22 | uint32(imm>>12)<<10)
	default:
		e.fail(ErrImmediate, "%#x is not 12 bits, nor 12 bits shifted by 12", imm)
	}
	return e.inst()
}

// AddImm is add rd, rn, #imm; imm has 12 bits, or 12 bits followed by 12
// zeros. Both registers can be SP.
func AddImm(rd, rn Reg, imm uint64) Inst {
	return imm12(enc("add", 0x11000000).sf(rd, rn).sp(rd, 0).sp(rn, 5), imm)
}

// SubImm is sub rd, rn, #imm, as [AddImm].
func SubImm(rd, rn Reg, imm uint64) Inst {
	return imm12(enc("sub", 0x51000000).sf(rd, rn).sp(rd, 0).sp(rn, 5), imm)
}

// AddsImm is [AddImm] that sets the flags; rd cannot be SP.
func AddsImm(rd, rn Reg, imm uint64) Inst {
	return imm12(enc("adds", 0x31000000).sf(rd, rn).gp(rd, 0).sp(rn, 5), imm)
}

// SubsImm is [SubImm] that sets the flags; rd cannot be SP.
func SubsImm(rd, rn Reg, imm uint64) Inst {
	return imm12(enc("subs", 0x71000000).sf(rd, rn).gp(rd, 0).sp(rn, 5), imm)
}

// CmpImm sets the flags of rn - imm.
func CmpImm(rn Reg, imm uint64) Inst {
	return imm12(enc("cmp", 0x71000000).sf(rn).gp(zr(rn), 0).sp(rn, 5), imm)
}

// CmnImm sets the flags of rn + imm.
func CmnImm(rn Reg, imm uint64) Inst {
	return imm12(enc("cmn", 0x31000000).sf(rn).gp(zr(rn), 0).sp(rn, 5), imm)
}

func threeReg(op string, word uint32, rd, rn, rm Reg) Inst {
	return enc(op, word).sf(rd, rn, rm).gp(rd, 0).gp(rn, 5).gp(rm, 16).inst()
}

// Adc is rd = rn + rm + C.
func Adc(rd, rn, rm Reg) Inst { return threeReg("adc", 0x1a000000, rd, rn, rm) }

// Adcs is [Adc] that sets the flags.
func Adcs(rd, rn, rm Reg) Inst { return threeReg("adcs", 0x3a000000, rd, rn, rm) }

// Sbc is rd = rn - rm - !C.
func Sbc(rd, rn, rm Reg) Inst { return threeReg("sbc", 0x5a000000, rd, rn, rm) }

// Sbcs is [Sbc] that sets the flags.
func Sbcs(rd, rn, rm Reg) Inst { return threeReg("sbcs", 0x7a000000, rd, rn, rm) }
