package asm

// Large System Extensions (FEAT_LSE): atomics of a word or doubleword at [rn],
// by the width of the registers. The suffixes a, l and al give acquire,
// release and both.

const (
	atomicAcquire = 1 << 23
	atomicRelease = 1 << 22
	casAcquire    = 1 << 22
	casRelease    = 1 << 15
)

func atomic(op string, word uint32, rs, rt, rn Reg) Inst {
	e := enc(op, word|uint32(byWidth(rt))<<30).gp(rs, 16).gp(rt, 0).base(rn)
	if rs.Is64() != rt.Is64() {
		e.fail(ErrRegister, "%v and %v differ in width", rs, rt)
	}
	return e.inst()
}

const (
	opLdadd = 0x38200000
	opLdclr = 0x38201000
	opLdeor = 0x38202000
	opLdset = 0x38203000
	opSwp   = 0x38208000
	opCas   = 0x08a07c00
)

// Ldadd adds rs to memory and returns the old value in rt.
func Ldadd(rs, rt, rn Reg) Inst { return atomic("ldadd", opLdadd, rs, rt, rn) }

// Ldadda is [Ldadd] with acquire semantics.
func Ldadda(rs, rt, rn Reg) Inst { return atomic("ldadda", opLdadd|atomicAcquire, rs, rt, rn) }

// Ldaddl is [Ldadd] with release semantics.
func Ldaddl(rs, rt, rn Reg) Inst { return atomic("ldaddl", opLdadd|atomicRelease, rs, rt, rn) }

// Ldaddal is [Ldadd] with acquire and release semantics.
func Ldaddal(rs, rt, rn Reg) Inst {
	return atomic("ldaddal", opLdadd|atomicAcquire|atomicRelease, rs, rt, rn)
}

// Ldclr clears the bits of rs in memory and returns the old value in rt.
func Ldclr(rs, rt, rn Reg) Inst { return atomic("ldclr", opLdclr, rs, rt, rn) }

// Ldclra is [Ldclr] with acquire semantics.
func Ldclra(rs, rt, rn Reg) Inst { return atomic("ldclra", opLdclr|atomicAcquire, rs, rt, rn) }

// Ldclrl is [Ldclr] with release semantics.
func Ldclrl(rs, rt, rn Reg) Inst { return atomic("ldclrl", opLdclr|atomicRelease, rs, rt, rn) }

// Ldclral is [Ldclr] with acquire and release semantics.
func Ldclral(rs, rt, rn Reg) Inst {
	return atomic("ldclral", opLdclr|atomicAcquire|atomicRelease, rs, rt, rn)
}

// Ldset sets the bits of rs in memory and returns the old value in rt.
func Ldset(rs, rt, rn Reg) Inst { return atomic("ldset", opLdset, rs, rt, rn) }

// Ldseta is [Ldset] with acquire semantics.
func Ldseta(rs, rt, rn Reg) Inst { return atomic("ldseta", opLdset|atomicAcquire, rs, rt, rn) }

// Ldsetl is [Ldset] with release semantics.
func Ldsetl(rs, rt, rn Reg) Inst { return atomic("ldsetl", opLdset|atomicRelease, rs, rt, rn) }

// Ldsetal is [Ldset] with acquire and release semantics.
func Ldsetal(rs, rt, rn Reg) Inst {
	return atomic("ldsetal", opLdset|atomicAcquire|atomicRelease, rs, rt, rn)
}

// Ldeor flips the bits of rs in memory and returns the old value in rt.
func Ldeor(rs, rt, rn Reg) Inst { return atomic("ldeor", opLdeor, rs, rt, rn) }

// Ldeora is [Ldeor] with acquire semantics.
func Ldeora(rs, rt, rn Reg) Inst { return atomic("ldeora", opLdeor|atomicAcquire, rs, rt, rn) }

// Ldeorl is [Ldeor] with release semantics.
func Ldeorl(rs, rt, rn Reg) Inst { return atomic("ldeorl", opLdeor|atomicRelease, rs, rt, rn) }

// Ldeoral is [Ldeor] with acquire and release semantics.
func Ldeoral(rs, rt, rn Reg) Inst {
	return atomic("ldeoral", opLdeor|atomicAcquire|atomicRelease, rs, rt, rn)
}

// Swp stores rs and returns the old value in rt.
func Swp(rs, rt, rn Reg) Inst { return atomic("swp", opSwp, rs, rt, rn) }

// Swpa is [Swp] with acquire semantics.
func Swpa(rs, rt, rn Reg) Inst { return atomic("swpa", opSwp|atomicAcquire, rs, rt, rn) }

// Swpl is [Swp] with release semantics.
func Swpl(rs, rt, rn Reg) Inst { return atomic("swpl", opSwp|atomicRelease, rs, rt, rn) }

// Swpal is [Swp] with acquire and release semantics.
func Swpal(rs, rt, rn Reg) Inst {
	return atomic("swpal", opSwp|atomicAcquire|atomicRelease, rs, rt, rn)
}

// Cas stores rt if memory equals rs, and returns the old value in rs.
func Cas(rs, rt, rn Reg) Inst { return atomic("cas", opCas, rs, rt, rn) }

// Casa is [Cas] with acquire semantics.
func Casa(rs, rt, rn Reg) Inst { return atomic("casa", opCas|casAcquire, rs, rt, rn) }

// Casl is [Cas] with release semantics.
func Casl(rs, rt, rn Reg) Inst { return atomic("casl", opCas|casRelease, rs, rt, rn) }

// Casal is [Cas] with acquire and release semantics.
func Casal(rs, rt, rn Reg) Inst { return atomic("casal", opCas|casAcquire|casRelease, rs, rt, rn) }

// Stadd is [Ldadd] without the old value.
func Stadd(rs, rn Reg) Inst { return atomic("stadd", opLdadd, rs, zr(rs), rn) }

// Staddl is [Ldaddl] without the old value.
func Staddl(rs, rn Reg) Inst { return atomic("staddl", opLdadd|atomicRelease, rs, zr(rs), rn) }

// Stclr is [Ldclr] without the old value.
func Stclr(rs, rn Reg) Inst { return atomic("stclr", opLdclr, rs, zr(rs), rn) }

// Stclrl is [Ldclrl] without the old value.
func Stclrl(rs, rn Reg) Inst { return atomic("stclrl", opLdclr|atomicRelease, rs, zr(rs), rn) }

// Stset is [Ldset] without the old value.
func Stset(rs, rn Reg) Inst { return atomic("stset", opLdset, rs, zr(rs), rn) }

// Stsetl is [Ldsetl] without the old value.
func Stsetl(rs, rn Reg) Inst { return atomic("stsetl", opLdset|atomicRelease, rs, zr(rs), rn) }

// Steor is [Ldeor] without the old value.
func Steor(rs, rn Reg) Inst { return atomic("steor", opLdeor, rs, zr(rs), rn) }

// Steorl is [Ldeorl] without the old value.
func Steorl(rs, rn Reg) Inst { return atomic("steorl", opLdeor|atomicRelease, rs, zr(rs), rn) }

// casPair encodes casp, whose operands are the even register named and the
// one after it.
func casPair(op string, word uint32, rs, rt, rn Reg) Inst {
	e := enc(op, 0x08207c00|word).gp(rs, 16).gp(rt, 0).base(rn)
	for _, r := range [...]Reg{rs, rt} {
		if r.Num()%2 != 0 {
			e.fail(ErrRegister, "%v does not start a pair", r)
		}
	}
	if rs.Is64() != rt.Is64() {
		e.fail(ErrRegister, "%v and %v differ in width", rs, rt)
	}
	if rt.Is64() {
		e.or(1 << 30)
	}
	return e.inst()
}

// Casp is [Cas] of the pairs that start at the even registers rs and rt.
func Casp(rs, rt, rn Reg) Inst { return casPair("casp", 0, rs, rt, rn) }

// Caspa is [Casp] with acquire semantics.
func Caspa(rs, rt, rn Reg) Inst { return casPair("caspa", casAcquire, rs, rt, rn) }

// Caspl is [Casp] with release semantics.
func Caspl(rs, rt, rn Reg) Inst { return casPair("caspl", casRelease, rs, rt, rn) }

// Caspal is [Casp] with acquire and release semantics.
func Caspal(rs, rt, rn Reg) Inst { return casPair("caspal", casAcquire|casRelease, rs, rt, rn) }
