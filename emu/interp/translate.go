package interp

import "callops/asm"

// translate decodes the word at pc. What has no form of its own for the loop
// is executed by its row's function.
func translate(w uint32, pc uint64) inst {
	i := lookupRow(w)
	r := &rows[i]
	if r.fast != nil {
		if in := r.fast(w, pc); in.op != opDecode {
			return in
		}
	}
	in := inst{op: opExec, imm: uint64(i)}
	if r.ends {
		in.op = opExecEnd
	}
	return in
}

// The functions named fast* translate a word of their class. The zero inst says
// that it has no fast form; reserved words have none.

// sized picks the form of the operation for the width in bit 31.
func sized(w uint32, op64, op32 op) op {
	if is64(w) {
		return op64
	}
	return op32
}

func slotD(w uint32) uint8   { return dstZR(fieldRd(w)) }
func slotDSP(w uint32) uint8 { return srcSP(fieldRd(w)) }
func slotN(w uint32) uint8   { return uint8(fieldRn(w)) }
func slotNSP(w uint32) uint8 { return srcSP(fieldRn(w)) }
func slotM(w uint32) uint8   { return uint8(fieldRm(w)) }

// packed holds two signed offsets in an imm.
func packed(low, high uint64) uint64 { return uint64(uint32(low)) | high<<32 }

func fastHint(w uint32, _ uint64) inst {
	switch w {
	case wfi, wfe, yield:
		return inst{}
	}
	return inst{op: opNop}
}

func fastAdr(w uint32, pc uint64) inst {
	_, addr, _, _ := asm.DecodeAdr(pc, w)
	return inst{op: opMovImm, rd: slotD(w), imm: addr}
}

func fastAddSubImm(w uint32, _ uint64) inst {
	in := inst{rd: slotD(w), rn: slotNSP(w), imm: addSubImm(w)}
	switch w >> 29 & 3 {
	case 0:
		in.op, in.rd = sized(w, opAddImm64, opAddImm32), slotDSP(w)
		if in.op == opAddImm64 && in.imm == 0 {
			in.op = opMov64
		}
	case 1:
		in.op = sized(w, opAddsImm64, opAddsImm32)
	case 2:
		in.op, in.rd, in.imm = sized(w, opAddImm64, opAddImm32), slotDSP(w), -in.imm
	case 3:
		in.op = sized(w, opSubsImm64, opSubsImm32)
	}
	return in
}

func fastLogicalImm(w uint32, _ uint64) inst {
	imm, ok := asm.DecodeBitmask(w>>22&1, w>>16&63, w>>10&63, is64(w))
	if !ok {
		return inst{}
	}
	in := inst{rd: slotDSP(w), rn: slotN(w), imm: imm}
	switch w >> 29 & 3 {
	case 0:
		in.op = opAndImm
	case 1:
		in.op = sized(w, opOrrImm64, opOrrImm32)
		if in.rn == slotZR {
			in.op = opMovImm
		}
	case 2:
		in.op = sized(w, opEorImm64, opEorImm32)
	case 3:
		in.op, in.rd = sized(w, opAndsImm64, opAndsImm32), slotD(w)
	}
	return in
}

func fastMoveWide(w uint32, _ uint64) inst {
	shift := w >> 21 & 3 * 16
	if !is64(w) && shift >= 32 {
		return inst{}
	}
	in := inst{op: opMovImm, rd: slotD(w), imm: uint64(w>>5&0xffff) << shift}
	switch w >> 29 & 3 {
	case 0:
		in.imm = ^in.imm
		if !is64(w) {
			in.imm = uint64(uint32(in.imm))
		}
	case 1:
		return inst{}
	case 3:
		if in.rd == slotSink {
			return inst{op: opNop}
		}
		in.op, in.ra = sized(w, opMovk64, opMovk32), uint8(shift)
	}
	return in
}

func fastBitfield(w uint32, _ uint64) inst {
	r, s, ok := bitfieldOperands(w)
	if !ok {
		return inst{}
	}
	width := uint32(32)
	if is64(w) {
		width = 64
	}
	in := inst{rd: slotD(w), rn: slotN(w)}
	opc := w >> 29 & 3
	if opc == 1 && in.rd == slotSink {
		return inst{op: opNop}
	}
	if s >= r { // extract n bits from r
		n := s - r + 1
		mask := ^uint64(0) >> (64 - n)
		switch opc {
		case 0:
			// Shift the field to the top and back.
			in.op, in.rm, in.ra = sized(w, opSbfx64, opSbfx32), uint8(width-1-s), uint8(width-n)
		case 1:
			in.op, in.ra, in.imm = sized(w, opBfxil64, opBfxil32), uint8(r), mask
		case 2:
			in.op, in.ra, in.imm = opUbfx, uint8(r), mask
		}
		return in
	}
	n, lsb := s+1, width-r // insert n bits at lsb
	mask := ^uint64(0) >> (64 - n)
	switch opc {
	case 0:
		// Shift the field to the top, and back to where it is to be.
		in.op, in.rm, in.ra, in.imm = sized(w, opSbfiz64, opSbfiz32), uint8(width-n), uint8(width-n), uint64(lsb)
	case 1:
		in.op, in.ra, in.imm = sized(w, opBfi64, opBfi32), uint8(lsb), mask<<lsb
	case 2:
		in.op, in.ra, in.imm = opUbfiz, uint8(lsb), mask
		if s == width-1-lsb {
			in.op = sized(w, opLsl64, opLsl32)
		}
	}
	return in
}

func fastExtract(w uint32, _ uint64) inst {
	lsb := w >> 10 & 63
	if w>>29&3 != 0 || w>>21&1 != 0 || w>>22&1 != w>>31 || !is64(w) && lsb >= 32 {
		return inst{}
	}
	in := inst{rd: slotD(w), rn: slotN(w), rm: slotM(w), ra: uint8(lsb)}
	switch {
	case in.rn == in.rm:
		in.op = sized(w, opRor64, opRor32)
	case is64(w) && lsb != 0:
		in.op = opExtr64
	}
	return in
}

// logicOps are the forms by operation, kind of shift and width; those of a
// shift by 0 stand in unshiftedOps.
var (
	unshiftedOps = [8][2]op{
		{opAnd32, opAnd64}, {opBic32, opBic64}, {opOrr32, opOrr64}, {opOrn32, opOrn64},
		{opEor32, opEor64}, {}, {opAnds32, opAnds64}, {opBics32, opBics64},
	}
	shiftedOps = [8][4][2]op{
		0: {{opAndLsl32, opAndLsl64}, {opAndLsr32, opAndLsr64}},
		2: {{opOrrLsl32, opOrrLsl64}, {opOrrLsr32, opOrrLsr64}},
		4: {{opEorLsl32, opEorLsl64}, {opEorLsr32, opEorLsr64}, {}, {opEorRor32, opEorRor64}},
	}
)

func fastLogicalShifted(w uint32, _ uint64) inst {
	kind, amount := w>>22&3, w>>10&63
	if !is64(w) && amount >= 32 {
		return inst{}
	}
	in := inst{rd: slotD(w), rn: slotN(w), rm: slotM(w), ra: uint8(amount)}
	which := w>>29&3<<1 | w>>21&1
	switch {
	case amount != 0:
		in.op = shiftedOps[which][kind][w>>31]
	case which == 2 && in.rn == slotZR:
		in.op, in.rn = sized(w, opMov64, opMov32), in.rm
	default:
		in.op = unshiftedOps[which][w>>31]
	}
	return in
}

// shiftedSums are the forms by operation, kind of shift and width.
var shiftedSums = [4][3][2]op{
	{{opAddLsl32, opAddLsl64}, {opAddLsr32, opAddLsr64}, {opAddAsr32, opAddAsr64}},
	{},
	{{opSubLsl32, opSubLsl64}, {opSubLsr32, opSubLsr64}, {opSubAsr32, opSubAsr64}},
	{{opDecode, opSubsLsl64}, {opDecode, opSubsLsr64}},
}

func fastAddSubShifted(w uint32, _ uint64) inst {
	kind, amount, which := w>>22&3, w>>10&63, w>>29&3
	if kind == 3 || !is64(w) && amount >= 32 {
		return inst{}
	}
	in := inst{rd: slotD(w), rn: slotN(w), rm: slotM(w), ra: uint8(amount)}
	if amount == 0 {
		in.op = [4][2]op{{opAdd32, opAdd64}, {opAdds32, opAdds64}, {opSub32, opSub64}, {opSubs32, opSubs64}}[which][w>>31]
	} else {
		in.op = shiftedSums[which][kind][w>>31]
	}
	return in
}

// extendedSums are the forms of 64 bits of ADD and SUB by kind of extension, extendedCompares
// those of 32 of SUBS.
var (
	extendedSums = [2][8]op{
		{opAddUxtb64, opAddUxth64, opAddUxtw64, opAddLsl64, opDecode, opDecode, opAddSxtw64, opAddLsl64},
		{opDecode, opDecode, opSubUxtw64, opSubLsl64, opDecode, opDecode, opSubSxtw64, opSubLsl64},
	}
	extendedCompares = [8]op{opSubsUxtb32, opSubsUxth32}
)

func fastAddSubExtended(w uint32, _ uint64) inst {
	shift, kind := w>>10&7, w>>13&7
	if shift > 4 || w>>22&3 != 0 {
		return inst{}
	}
	in := inst{rd: slotDSP(w), rn: slotNSP(w), rm: slotM(w), ra: uint8(shift)}
	switch {
	case is64(w) && w>>29&1 == 0:
		in.op = extendedSums[w>>30&1][kind]
	case !is64(w) && w>>29&3 == 3 && shift == 0:
		in.op, in.rd = extendedCompares[kind], slotD(w)
	}
	return in
}

func fast3Source(w uint32, _ uint64) inst {
	if w>>29&3 != 0 {
		return inst{}
	}
	in := inst{rd: slotD(w), rn: slotN(w), rm: slotM(w), ra: uint8(fieldRa(w))}
	switch op := w>>21&7<<1 | w>>15&1; {
	case op == 0:
		in.op = sized(w, opMadd64, opMadd32)
	case op == 1:
		in.op = sized(w, opMsub64, opMsub32)
	case !is64(w):
	case op == 2:
		in.op = opSmaddl
	case op == 10:
		in.op = opUmaddl
	case op == 12:
		in.op = opUmulh
	}
	return in
}

func fast2Source(w uint32, _ uint64) inst {
	in := inst{rd: slotD(w), rn: slotN(w), rm: slotM(w)}
	switch w >> 10 & 63 {
	case 8:
		in.op = sized(w, opLslv64, opLslv32)
	case 9:
		in.op = sized(w, opLsrv64, opLsrv32)
	case 10:
		in.op = sized(w, opAsrv64, opAsrv32)
	case 11:
		in.op = sized(w, opRorv64, opRorv32)
	}
	return in
}

func fast1Source(w uint32, _ uint64) inst {
	if fieldRm(w) != 0 {
		return inst{}
	}
	in := inst{rd: slotD(w), rn: slotN(w)}
	switch op := w >> 10 & 63; {
	case op == 4:
		in.op = sized(w, opClz64, opClz32)
	case op == 3 && is64(w):
		in.op = opRev64
	case op == 2 && !is64(w):
		in.op = opRev32
	}
	return in
}

func fastCondSelect(w uint32, _ uint64) inst {
	in := inst{op: opCsel, rd: slotD(w), rn: slotN(w), rm: slotM(w), ra: uint8(w >> 12 & 15)}
	in.imm = uint64(w>>10&1 | w>>30&1<<1)
	if !is64(w) {
		in.imm |= 32
	}
	return in
}

func fastCondCompare(w uint32, _ uint64) inst {
	in := inst{op: opCcmp, rd: uint8(w & 15), rn: slotN(w), rm: slotM(w), ra: uint8(w >> 12 & 15)}
	if w>>11&1 == 1 {
		in.rm, in.imm = slotZR, uint64(fieldRm(w))
	}
	kind := flagsAdd
	if w>>30&1 == 1 {
		kind = flagsSub
	}
	in.imm |= uint64(kind) << 6
	if !is64(w) {
		in.imm |= 32 << 8
	}
	return in
}
