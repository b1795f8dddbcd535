package interp

// Barriers, ordered accesses, exclusives and atomics.

func fastBarrier(w uint32, _ uint64) inst {
	const clrex, dsb, dmb = 2, 4, 5
	switch kind := w >> 5 & 7; {
	case kind == clrex:
		return inst{op: opClrex}
	case kind == dmb && w>>8&3 != 3 && w>>8&3 != 0 && tso: // of loads, or of stores, alone
		return inst{op: opNop}
	case (kind == dmb || kind == dsb) && fences:
		return inst{op: opFence}
	}
	return inst{}
}

// orderedOps are LDAR, LDAPR and STLR by size.
var orderedOps = [4]struct{ load, store op }{{opLdarb, opStlrb}, {opLdarh, opStlrh}, {opLdar32, opStlr32}, {opLdar64, opStlr64}}

func ordered(w uint32, load bool, off uint64) inst {
	if load {
		return inst{op: orderedOps[w>>30].load, rd: slotD(w), rn: slotNSP(w), imm: off}
	}
	in := inst{op: orderedOps[w>>30].store, rd: uint8(fieldRd(w)), rn: slotNSP(w), imm: off}
	if w>>31 == 0 && !tso { // a plain store, and a fence behind it
		return inst{}
	}
	return in
}

func fastOrderedUnscaled(w uint32, _ uint64) inst {
	if w>>22&3 > 1 {
		return inst{}
	}
	return ordered(w, w>>22&1 == 1, signedField(w, 12, 9))
}

// atomicInst is an inst of one of two operations, the second of which needs to know the size.
func atomicInst(w uint32, op64, op32 op) inst {
	size := uint64(1) << (w >> 30)
	in := inst{op: op64, rd: uint8(fieldRd(w)), rn: slotNSP(w), rm: slotM(w)}
	if size < 8 {
		in.op, in.imm = op32, packed(64-8*size, size-1)
	}
	return in
}

// fastExclusive leaves pairs to the reference.
func fastExclusive(w uint32, _ uint64) inst {
	o2, load, o1 := w>>23&1, w>>22&1 == 1, w>>21&1
	switch {
	case o2 == 1 && o1 == 0:
		return ordered(w, load, 0)
	case o2 == 1:
		if fieldRa(w) != 31 {
			return inst{}
		}
		in := atomicInst(w, opCas64, opCas32)
		in.ra = dstZR(fieldRm(w))
		return in
	case o1 == 1:
		return inst{}
	case load:
		in := atomicInst(w, opLdxr64, opLdxr32)
		in.rd = slotD(w)
		return in
	}
	in := atomicInst(w, opStxr64, opStxr32)
	in.rm = dstZR(fieldRm(w))
	return in
}

func fastAtomic(w uint32, _ uint64) inst {
	const ldadd, swp, ldapr = 0, 8, 12
	which, size := w>>12&15, w>>30
	switch {
	case which == ldapr && w>>22&3 == 2 && fieldRm(w) == 31:
		return ordered(w, true, 0)
	case which > swp:
		return inst{}
	}
	in := atomicInst(w, opLdop64, opLdop32)
	in.rd, in.ra = slotD(w), uint8(which)
	switch {
	case which == ldadd && size >= 2:
		in.op = [...]op{opLdadd32, opLdadd64}[size-2]
	case which == swp && size >= 2:
		in.op = [...]op{opSwp32, opSwp64}[size-2]
	}
	return in
}
