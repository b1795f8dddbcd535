package asm

// Loads and stores of one register and of pairs. A transfer is described by
// its size (log2 of bytes, bits 31:30) and opc (bits 23:22).

const (
	opcStore  = 0
	opcLoad   = 1
	opcLoadSX = 2 // sign-extending to an X register
	opcLoadSW = 3 // sign-extending to a W register
)

// transfer encodes a load or store, choosing the form by the address. Like GNU
// as it falls back to the unscaled form for an offset that only fits there.
func transfer(op string, size int, opc uint32, rt Reg, m Mem) Inst {
	e := enc(op, 0x38000000|uint32(size)<<30|opc<<22).gp(rt, 0).base(m.base)
	switch m.mode {
	case memIndex:
		return index(e, size, m)
	case memOffset:
		if m.imm >= 0 && m.imm&(1<<size-1) == 0 && m.imm>>size < 1<<12 {
			return e.or(1<<24 | uint32(m.imm>>size)<<10).inst()
		}
		if m.imm < -256 || m.imm > 255 {
			e.fail(ErrImmediate, "offset %d is neither a multiple of %d in [0, %d] nor in [-256, 255]", m.imm, 1<<size, 4095<<size)
		}
		return simm9(e, m.imm)
	case memPre:
		e.or(3 << 10)
	case memPost:
		e.or(1 << 10)
	}
	e.writeback(m, rt)
	return simm9(e, m.imm)
}

func simm9(e *encoding, imm int64) Inst {
	if imm < -256 || imm > 255 {
		e.fail(ErrImmediate, "offset %d is not in [-256, 255]", imm)
	}
	return e.or(uint32(imm&0x1ff) << 12).inst()
}

func index(e *encoding, size int, m Mem) Inst {
	if m.ext&2 == 0 || m.ext > SXTX {
		e.fail(ErrImmediate, "%v cannot extend an index", m.ext)
	}
	e.need(m.ext.takes64(), m.index).gp(m.index, 16).or(1<<21 | 2<<10 | uint32(m.ext&7)<<13)
	switch m.shift {
	case 0:
	case size:
		e.or(1 << 12)
	default:
		e.fail(ErrImmediate, "index shift %d is neither 0 nor %d", m.shift, size)
	}
	return e.inst()
}

// writeback refuses a base that is also transferred: the manual leaves its
// value unpredictable.
func (e *encoding) writeback(m Mem, regs ...Reg) {
	if m.base.isSP() {
		return
	}
	for _, r := range regs {
		if r.Num() == m.base.Num() {
			e.fail(ErrRegister, "%v is written back and transferred", m.base)
		}
	}
}

// byWidth is the size of a transfer whose mnemonic leaves it to the register.
func byWidth(rt Reg) int {
	if rt.Is64() {
		return 3
	}
	return 2
}

// wOnly refuses X registers, for transfers shorter than a word.
func wOnly(op string, size int, opc uint32, rt Reg, m Mem, f func(string, int, uint32, Reg, Mem) Inst) Inst {
	if e := enc(op, 0).need(false, rt); e.err != nil {
		return e.inst()
	}
	return f(op, size, opc, rt, m)
}

// signed picks the opc of a sign-extending load by the register's width.
func signed(rt Reg) uint32 {
	if rt.Is64() {
		return opcLoadSX
	}
	return opcLoadSW
}

// xOnly refuses W registers, for ldrsw and its kin.
func xOnly(op string, size int, opc uint32, rt Reg, m Mem, f func(string, int, uint32, Reg, Mem) Inst) Inst {
	if e := enc(op, 0).need(true, rt); e.err != nil {
		return e.inst()
	}
	return f(op, size, opc, rt, m)
}

// Ldr loads a word or doubleword, by the width of rt.
func Ldr(rt Reg, m Mem) Inst { return transfer("ldr", byWidth(rt), opcLoad, rt, m) }

// Str stores a word or doubleword, by the width of rt.
func Str(rt Reg, m Mem) Inst { return transfer("str", byWidth(rt), opcStore, rt, m) }

// Ldrb loads a byte into a W register.
func Ldrb(rt Reg, m Mem) Inst { return wOnly("ldrb", 0, opcLoad, rt, m, transfer) }

// Strb stores the low byte of a W register.
func Strb(rt Reg, m Mem) Inst { return wOnly("strb", 0, opcStore, rt, m, transfer) }

// Ldrh loads a halfword into a W register.
func Ldrh(rt Reg, m Mem) Inst { return wOnly("ldrh", 1, opcLoad, rt, m, transfer) }

// Strh stores the low halfword of a W register.
func Strh(rt Reg, m Mem) Inst { return wOnly("strh", 1, opcStore, rt, m, transfer) }

// Ldrsb loads a byte and sign-extends it to rt's width.
func Ldrsb(rt Reg, m Mem) Inst { return transfer("ldrsb", 0, signed(rt), rt, m) }

// Ldrsh loads a halfword and sign-extends it to rt's width.
func Ldrsh(rt Reg, m Mem) Inst { return transfer("ldrsh", 1, signed(rt), rt, m) }

// Ldrsw loads a word and sign-extends it to an X register.
func Ldrsw(rt Reg, m Mem) Inst { return xOnly("ldrsw", 2, opcLoadSX, rt, m, transfer) }

// unscaled encodes a load or store whose offset is in bytes whatever the size.
func unscaled(op string, size int, opc uint32, rt Reg, m Mem) Inst {
	e := enc(op, 0x38000000|uint32(size)<<30|opc<<22).gp(rt, 0).base(m.base)
	if m.mode != memOffset {
		e.fail(ErrImmediate, "%v: only a base and an offset", m)
		return e.inst()
	}
	return simm9(e, m.imm)
}

// Ldur is [Ldr] with an unscaled offset in [-256, 255].
func Ldur(rt Reg, m Mem) Inst { return unscaled("ldur", byWidth(rt), opcLoad, rt, m) }

// Stur is [Str] with an unscaled offset in [-256, 255].
func Stur(rt Reg, m Mem) Inst { return unscaled("stur", byWidth(rt), opcStore, rt, m) }

// Ldurb is [Ldrb] with an unscaled offset.
func Ldurb(rt Reg, m Mem) Inst { return wOnly("ldurb", 0, opcLoad, rt, m, unscaled) }

// Sturb is [Strb] with an unscaled offset.
func Sturb(rt Reg, m Mem) Inst { return wOnly("sturb", 0, opcStore, rt, m, unscaled) }

// Ldurh is [Ldrh] with an unscaled offset.
func Ldurh(rt Reg, m Mem) Inst { return wOnly("ldurh", 1, opcLoad, rt, m, unscaled) }

// Sturh is [Strh] with an unscaled offset.
func Sturh(rt Reg, m Mem) Inst { return wOnly("sturh", 1, opcStore, rt, m, unscaled) }

// Ldursb is [Ldrsb] with an unscaled offset.
func Ldursb(rt Reg, m Mem) Inst { return unscaled("ldursb", 0, signed(rt), rt, m) }

// Ldursh is [Ldrsh] with an unscaled offset.
func Ldursh(rt Reg, m Mem) Inst { return unscaled("ldursh", 1, signed(rt), rt, m) }

// Ldursw is [Ldrsw] with an unscaled offset.
func Ldursw(rt Reg, m Mem) Inst { return xOnly("ldursw", 2, opcLoadSX, rt, m, unscaled) }

// pair encodes a load or store of two registers; size is that of one.
func pair(op string, word uint32, size int, load bool, rt, rt2 Reg, m Mem) Inst {
	e := enc(op, word).gp(rt, 0).gp(rt2, 10).base(m.base)
	if rt.Is64() != rt2.Is64() {
		e.fail(ErrRegister, "%v and %v differ in width", rt, rt2)
	}
	if load {
		e.or(1 << 22)
		if rt == rt2 {
			e.fail(ErrRegister, "%v is loaded twice", rt)
		}
	}
	switch m.mode {
	case memOffset:
		e.or(2 << 23)
	case memPre:
		e.or(3<<23).writeback(m, rt, rt2)
	case memPost:
		e.or(1<<23).writeback(m, rt, rt2)
	case memIndex:
		e.fail(ErrImmediate, "%v: a pair has no index", m)
	}
	if lo, hi := int64(-64)<<size, int64(63)<<size; m.imm&(1<<size-1) != 0 || m.imm < lo || m.imm > hi {
		e.fail(ErrImmediate, "offset %d is not a multiple of %d in [%d, %d]", m.imm, 1<<size, lo, hi)
	}
	return e.or(uint32(m.imm>>size&0x7f) << 15).inst()
}

func pairByWidth(op string, load bool, rt, rt2 Reg, m Mem) Inst {
	if rt.Is64() {
		return pair(op, 0xa8000000, 3, load, rt, rt2, m)
	}
	return pair(op, 0x28000000, 2, load, rt, rt2, m)
}

// Ldp loads two registers of one width.
func Ldp(rt, rt2 Reg, m Mem) Inst { return pairByWidth("ldp", true, rt, rt2, m) }

// Stp stores two registers of one width.
func Stp(rt, rt2 Reg, m Mem) Inst { return pairByWidth("stp", false, rt, rt2, m) }

// Ldpsw loads two words and sign-extends them to X registers.
func Ldpsw(rt, rt2 Reg, m Mem) Inst {
	if e := enc("ldpsw", 0).need(true, rt, rt2); e.err != nil {
		return e.inst()
	}
	return pair("ldpsw", 0x68000000, 2, true, rt, rt2, m)
}
