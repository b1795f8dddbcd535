package interp

// Loads and stores.

// scaledOps are the forms by size and opc.
var scaledOps = [4][4]op{
	{opStrb, opLdrb, opLdrsb64, opLdrsb32},
	{opStrh, opLdrh, opLdrsh64, opLdrsh32},
	{opStr32, opLdr32, opLdrsw},
	{opStr64, opLdr64},
}

var indexedOps = [4][4]op{
	{opStrWb, opLdrWb},
	{},
	{opStrW32, opLdrW32},
	{opStrW64, opLdrW64},
}

// regOffsetOps are the forms by the index: all of it, its low half, or that with its sign.
var regOffsetOps = [3][4][4]op{
	{{opStrXb, opLdrXb}, {opStrXh, opLdrXh}, {opStrX32, opLdrX32, opLdrXsw}, {opStrX64, opLdrX64}},
	{{opStrUb, opLdrUb}, {opStrUh, opLdrUh}, {opStrU32, opLdrU32, opLdrUsw}, {opStrU64, opLdrU64}},
	{{opStrSb, opLdrSb}, {opStrSh, opLdrSh}, {opStrS32, opLdrS32, opLdrSsw}, {opStrS64, opLdrS64}},
}

// transferSlot is the slot of the register to load or store.
func transferSlot(w uint32) uint8 {
	if w>>22&3 == 0 {
		return uint8(fieldRd(w))
	}
	return slotD(w)
}

func fastScaled(w uint32, _ uint64) inst {
	if isPrefetch(w) {
		return inst{op: opNop}
	}
	return inst{op: scaledOps[w>>30][w>>22&3], rd: transferSlot(w), rn: slotNSP(w), imm: uint64(w>>10&0xfff) << (w >> 30)}
}

func fastUnscaled(w uint32, _ uint64) inst {
	if isPrefetch(w) {
		return inst{op: opNop}
	}
	return inst{op: scaledOps[w>>30][w>>22&3], rd: transferSlot(w), rn: slotNSP(w), imm: signedField(w, 12, 9)}
}

func fastIndexed(w uint32, _ uint64) inst {
	in := inst{op: indexedOps[w>>30][w>>22&3], rd: transferSlot(w), rn: slotNSP(w)}
	off := signedField(w, 12, 9)
	if w>>11&1 == 0 { // post
		in.imm = packed(0, off)
	} else {
		in.imm = packed(off, off)
	}
	return in
}

func fastRegOffset(w uint32, _ uint64) inst {
	kind := 0
	switch w >> 13 & 7 {
	case 2:
		kind = 1
	case 6:
		kind = 2
	case 3, 7:
	default:
		return inst{}
	}
	in := inst{op: regOffsetOps[kind][w>>30][w>>22&3], rd: transferSlot(w), rn: slotNSP(w), rm: slotM(w)}
	if w>>12&1 == 1 {
		in.ra = uint8(w >> 30)
	}
	return in
}

func fastLiteral(w uint32, pc uint64) inst {
	in := inst{rd: slotD(w), imm: pc + signedField(w, 5, 19)<<2}
	switch w >> 30 {
	case 0:
		in.op = opLdrLit32
	case 1:
		in.op = opLdrLit64
	case 3:
		in.op = opNop
	}
	return in
}

func fastPair(w uint32, _ uint64) inst {
	opc, mode, load := w>>30, w>>23&3, w>>22&1 == 1
	if opc&1 == 1 {
		return inst{}
	}
	scale := 2 + opc>>1
	off := signedField(w, 15, 7) << scale
	in := inst{rd: uint8(fieldRd(w)), rm: uint8(fieldRa(w)), rn: slotNSP(w), imm: off}
	if load {
		in.rd, in.rm = dstZR(fieldRd(w)), dstZR(fieldRa(w))
	}
	// Loading one register twice is left to the reference.
	if load && in.rd == in.rm {
		return inst{}
	}
	switch {
	case mode&1 == 0 && load:
		in.op = [2]op{opLdp32, opLdp64}[opc>>1]
	case mode&1 == 0:
		in.op = [2]op{opStp32, opStp64}[opc>>1]
	case opc == 0:
		return inst{}
	default:
		in.op = opStpW64
		if load {
			in.op = opLdpW64
		}
		in.imm = packed(off, off)
		if mode == 1 { // post
			in.imm = packed(0, off)
		}
	}
	return in
}
