package asm

// Branches, and the address forms that share their PC-relative offsets.

// B jumps to l.
func B(l Label) Inst { return enc("b", opB).link(fixBranch26, l) }

// BL calls l.
func BL(l Label) Inst { return enc("bl", opBL).link(fixBranch26, l) }

// BCond jumps to l if c holds.
func BCond(c Cond, l Label) Inst {
	return enc("b."+c.String(), 0x54000000).cond(c, 0).link(fixCond19, l)
}

// Cbz jumps to l if rt is zero.
func Cbz(rt Reg, l Label) Inst { return enc("cbz", 0x34000000).sf(rt).gp(rt, 0).link(fixCond19, l) }

// Cbnz jumps to l if rt is not zero.
func Cbnz(rt Reg, l Label) Inst { return enc("cbnz", 0x35000000).sf(rt).gp(rt, 0).link(fixCond19, l) }

func testBranch(op string, word uint32, rt Reg, bit int, l Label) Inst {
	e := enc(op, word).gp(rt, 0)
	if e.within("bit", bit, 0, bitsOf(rt.Is64())-1) {
		e.or(uint32(bit)>>5<<31 | uint32(bit)&31<<19)
	}
	return e.link(fixTest14, l)
}

// Tbz jumps to l if the bit of rt is zero.
func Tbz(rt Reg, bit int, l Label) Inst { return testBranch("tbz", 0x36000000, rt, bit, l) }

// Tbnz jumps to l if the bit of rt is one.
func Tbnz(rt Reg, bit int, l Label) Inst { return testBranch("tbnz", 0x37000000, rt, bit, l) }

func branchReg(op string, word uint32, rn Reg) Inst {
	return enc(op, word).need(true, rn).gp(rn, 5).inst()
}

// Br jumps to the address in rn.
func Br(rn Reg) Inst { return branchReg("br", opBR, rn) }

// Blr calls the address in rn.
func Blr(rn Reg) Inst { return branchReg("blr", opBLR, rn) }

// Ret returns to LR.
func Ret() Inst { return RetReg(LR) }

// RetReg returns to the address in rn.
func RetReg(rn Reg) Inst { return branchReg("ret", opRET, rn) }

// Adr is rd = address of l, within 1 MiB.
func Adr(rd Reg, l Label) Inst {
	return enc("adr", 0x10000000).need(true, rd).gp(rd, 0).link(fixAdr, l)
}

// Adrp is rd = address of l's 4 KiB page, within 4 GiB.
func Adrp(rd Reg, l Label) Inst {
	return enc("adrp", 0x90000000).need(true, rd).gp(rd, 0).link(fixAdrp, l)
}

// AddLo12 is rd = rn + the low 12 bits of l's address, after [Adrp].
func AddLo12(rd, rn Reg, l Label) Inst {
	return enc("add", 0x91000000).need(true, rd, rn).sp(rd, 0).sp(rn, 5).link(fixLo12, l)
}

// LdrLo12 loads rt from l, with rn the page that [Adrp] gave. l has to be
// aligned to the width of rt.
func LdrLo12(rt, rn Reg, l Label) Inst { return lo12("ldr", opcLoad, rt, rn, l) }

// StrLo12 stores rt to l, as [LdrLo12] loads it.
func StrLo12(rt, rn Reg, l Label) Inst { return lo12("str", opcStore, rt, rn, l) }

func lo12(op string, opc uint32, rt, rn Reg, l Label) Inst {
	size := byWidth(rt)
	f := fixLo12x4
	if size == 3 {
		f = fixLo12x8
	}
	return enc(op, 0x39000000|uint32(size)<<30|opc<<22).gp(rt, 0).base(rn).link(f, l)
}

// LdrLit loads rt from l, within 1 MiB and aligned to 4.
func LdrLit(rt Reg, l Label) Inst {
	e := enc("ldr", 0x18000000).gp(rt, 0)
	if rt.Is64() {
		e.or(1 << 30)
	}
	return e.link(fixLiteral19, l)
}

// LoadAddr is rd = address of l, by adrp and add, within 4 GiB.
func LoadAddr(rd Reg, l Label) []Inst { return []Inst{Adrp(rd, l), AddLo12(rd, rd, l)} }
