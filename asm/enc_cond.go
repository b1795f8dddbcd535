package asm

// Conditional select and conditional compare.

func condSelect(op string, word uint32, rd, rn, rm Reg, c Cond) Inst {
	return enc(op, word).sf(rd, rn, rm).gp(rd, 0).gp(rn, 5).gp(rm, 16).cond(c, 12).inst()
}

// Csel is rd = c ? rn : rm.
func Csel(rd, rn, rm Reg, c Cond) Inst { return condSelect("csel", 0x1a800000, rd, rn, rm, c) }

// Csinc is rd = c ? rn : rm+1.
func Csinc(rd, rn, rm Reg, c Cond) Inst { return condSelect("csinc", 0x1a800400, rd, rn, rm, c) }

// Csinv is rd = c ? rn : ^rm.
func Csinv(rd, rn, rm Reg, c Cond) Inst { return condSelect("csinv", 0x5a800000, rd, rn, rm, c) }

// Csneg is rd = c ? rn : -rm.
func Csneg(rd, rn, rm Reg, c Cond) Inst { return condSelect("csneg", 0x5a800400, rd, rn, rm, c) }

// notAlways inverts the condition of an alias. AL and NV have no inversion, so
// the aliases do not take them.
func notAlways(op string, word uint32, rd, rn Reg, c Cond) Inst {
	if c >= AL {
		e := enc(op, 0)
		e.fail(ErrImmediate, "condition %v cannot be inverted", c)
		return e.inst()
	}
	return condSelect(op, word, rd, rn, rn, c.Invert())
}

// Cset is rd = c ? 1 : 0.
func Cset(rd Reg, c Cond) Inst { return notAlways("cset", 0x1a800400, rd, zr(rd), c) }

// Csetm is rd = c ? -1 : 0.
func Csetm(rd Reg, c Cond) Inst { return notAlways("csetm", 0x5a800000, rd, zr(rd), c) }

// Cinc is rd = c ? rn+1 : rn.
func Cinc(rd, rn Reg, c Cond) Inst { return notAlways("cinc", 0x1a800400, rd, rn, c) }

func condCompare(op string, word uint32, rn, rm Reg, nzcv int, c Cond) Inst {
	return enc(op, word).sf(rn, rm).gp(rn, 5).gp(rm, 16).imm("nzcv", nzcv, 4, 0).cond(c, 12).inst()
}

func condCompareImm(op string, word uint32, rn Reg, imm, nzcv int, c Cond) Inst {
	return enc(op, word).sf(rn).gp(rn, 5).imm("immediate", imm, 5, 16).imm("nzcv", nzcv, 4, 0).cond(c, 12).inst()
}

// Ccmp sets the flags of rn - rm if c holds, and to nzcv otherwise.
func Ccmp(rn, rm Reg, nzcv int, c Cond) Inst {
	return condCompare("ccmp", 0x7a400000, rn, rm, nzcv, c)
}

// CcmpImm is [Ccmp] with an immediate of 5 bits.
func CcmpImm(rn Reg, imm, nzcv int, c Cond) Inst {
	return condCompareImm("ccmp", 0x7a400800, rn, imm, nzcv, c)
}

// Ccmn sets the flags of rn + rm if c holds, and to nzcv otherwise.
func Ccmn(rn, rm Reg, nzcv int, c Cond) Inst {
	return condCompare("ccmn", 0x3a400000, rn, rm, nzcv, c)
}

// CcmnImm is [Ccmn] with an immediate of 5 bits.
func CcmnImm(rn Reg, imm, nzcv int, c Cond) Inst {
	return condCompareImm("ccmn", 0x3a400800, rn, imm, nzcv, c)
}
