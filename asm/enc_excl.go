package asm

// Load-acquire, store-release and exclusives. They address [rn] only, so they
// take the base register itself. size is log2 of bytes, bits 31:30.

func ordered(op string, word uint32, size int, rt, rn Reg) Inst {
	return enc(op, word|uint32(size)<<30).gp(rt, 0).base(rn).inst()
}

func orderedW(op string, word uint32, size int, rt, rn Reg) Inst {
	return enc(op, word|uint32(size)<<30).need(false, rt).gp(rt, 0).base(rn).inst()
}

const (
	opLdar  = 0x08dffc00
	opStlr  = 0x089ffc00
	opLdapr = 0x38bfc000
	opLdxr  = 0x085f7c00
	opLdaxr = 0x085ffc00
	opStxr  = 0x08007c00
	opStlxr = 0x0800fc00
)

// Ldar loads with acquire semantics.
func Ldar(rt, rn Reg) Inst { return ordered("ldar", opLdar, byWidth(rt), rt, rn) }

// Ldarb is [Ldar] of a byte.
func Ldarb(rt, rn Reg) Inst { return orderedW("ldarb", opLdar, 0, rt, rn) }

// Ldarh is [Ldar] of a halfword.
func Ldarh(rt, rn Reg) Inst { return orderedW("ldarh", opLdar, 1, rt, rn) }

// Stlr stores with release semantics.
func Stlr(rt, rn Reg) Inst { return ordered("stlr", opStlr, byWidth(rt), rt, rn) }

// Stlrb is [Stlr] of a byte.
func Stlrb(rt, rn Reg) Inst { return orderedW("stlrb", opStlr, 0, rt, rn) }

// Stlrh is [Stlr] of a halfword.
func Stlrh(rt, rn Reg) Inst { return orderedW("stlrh", opStlr, 1, rt, rn) }

// Ldapr loads with acquire semantics that an earlier release to another
// address need not precede (FEAT_LRCPC).
func Ldapr(rt, rn Reg) Inst { return ordered("ldapr", opLdapr, byWidth(rt), rt, rn) }

// Ldaprb is [Ldapr] of a byte.
func Ldaprb(rt, rn Reg) Inst { return orderedW("ldaprb", opLdapr, 0, rt, rn) }

// Ldaprh is [Ldapr] of a halfword.
func Ldaprh(rt, rn Reg) Inst { return orderedW("ldaprh", opLdapr, 1, rt, rn) }

// Ldxr loads and marks the address for a store-exclusive.
func Ldxr(rt, rn Reg) Inst { return ordered("ldxr", opLdxr, byWidth(rt), rt, rn) }

// Ldxrb is [Ldxr] of a byte.
func Ldxrb(rt, rn Reg) Inst { return orderedW("ldxrb", opLdxr, 0, rt, rn) }

// Ldxrh is [Ldxr] of a halfword.
func Ldxrh(rt, rn Reg) Inst { return orderedW("ldxrh", opLdxr, 1, rt, rn) }

// Ldaxr is [Ldxr] with acquire semantics.
func Ldaxr(rt, rn Reg) Inst { return ordered("ldaxr", opLdaxr, byWidth(rt), rt, rn) }

// Ldaxrb is [Ldaxr] of a byte.
func Ldaxrb(rt, rn Reg) Inst { return orderedW("ldaxrb", opLdaxr, 0, rt, rn) }

// Ldaxrh is [Ldaxr] of a halfword.
func Ldaxrh(rt, rn Reg) Inst { return orderedW("ldaxrh", opLdaxr, 1, rt, rn) }

// status places the W register that tells whether the store happened. It has
// to differ from the others, or the result is unpredictable.
func (e *encoding) status(rs, rn Reg, data ...Reg) *encoding {
	e.need(false, rs).gp(rs, 16)
	for _, r := range data {
		if r.Num() == rs.Num() {
			e.fail(ErrRegister, "status %v is also stored", rs)
		}
	}
	if !rn.isSP() && rn.Num() == rs.Num() {
		e.fail(ErrRegister, "status %v is also the address", rs)
	}
	return e
}

func storeExcl(op string, word uint32, size int, rs, rt, rn Reg) Inst {
	return enc(op, word|uint32(size)<<30).gp(rt, 0).base(rn).status(rs, rn, rt).inst()
}

func storeExclW(op string, word uint32, size int, rs, rt, rn Reg) Inst {
	return enc(op, word|uint32(size)<<30).need(false, rt).gp(rt, 0).base(rn).status(rs, rn, rt).inst()
}

// Stxr stores rt if the mark is still there; the W register rs becomes 0 if it
// did and 1 if not.
func Stxr(rs, rt, rn Reg) Inst { return storeExcl("stxr", opStxr, byWidth(rt), rs, rt, rn) }

// Stxrb is [Stxr] of a byte.
func Stxrb(rs, rt, rn Reg) Inst { return storeExclW("stxrb", opStxr, 0, rs, rt, rn) }

// Stxrh is [Stxr] of a halfword.
func Stxrh(rs, rt, rn Reg) Inst { return storeExclW("stxrh", opStxr, 1, rs, rt, rn) }

// Stlxr is [Stxr] with release semantics.
func Stlxr(rs, rt, rn Reg) Inst { return storeExcl("stlxr", opStlxr, byWidth(rt), rs, rt, rn) }

// Stlxrb is [Stlxr] of a byte.
func Stlxrb(rs, rt, rn Reg) Inst { return storeExclW("stlxrb", opStlxr, 0, rs, rt, rn) }

// Stlxrh is [Stlxr] of a halfword.
func Stlxrh(rs, rt, rn Reg) Inst { return storeExclW("stlxrh", opStlxr, 1, rs, rt, rn) }

func exclPair(op string, word uint32, rt, rt2, rn Reg) *encoding {
	e := enc(op, word).gp(rt, 0).gp(rt2, 10).base(rn)
	if rt.Is64() != rt2.Is64() {
		e.fail(ErrRegister, "%v and %v differ in width", rt, rt2)
	}
	if rt.Is64() {
		e.or(1 << 30)
	}
	return e
}

func loadExclPair(op string, word uint32, rt, rt2, rn Reg) Inst {
	e := exclPair(op, word, rt, rt2, rn)
	if rt == rt2 {
		e.fail(ErrRegister, "%v is loaded twice", rt)
	}
	return e.inst()
}

// Ldxp is [Ldxr] of two registers.
func Ldxp(rt, rt2, rn Reg) Inst { return loadExclPair("ldxp", 0x887f0000, rt, rt2, rn) }

// Ldaxp is [Ldaxr] of two registers.
func Ldaxp(rt, rt2, rn Reg) Inst { return loadExclPair("ldaxp", 0x887f8000, rt, rt2, rn) }

// Stxp is [Stxr] of two registers.
func Stxp(rs, rt, rt2, rn Reg) Inst {
	return exclPair("stxp", 0x88200000, rt, rt2, rn).status(rs, rn, rt, rt2).inst()
}

// Stlxp is [Stlxr] of two registers.
func Stlxp(rs, rt, rt2, rn Reg) Inst {
	return exclPair("stlxp", 0x88208000, rt, rt2, rn).status(rs, rn, rt, rt2).inst()
}
