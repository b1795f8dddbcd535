package asm

// The decoders of single fields: for readers of an image's code, and for
// the disassembler. What an instruction does as a whole is package effects'.

// offset19 is the field of b.cond, cbz, cbnz and ldr of a literal, in bytes.
func offset19(w uint32) int64 { return int64(int32(w<<8)>>13) * 4 }

// offset14 is the field of tbz and tbnz, in bytes.
func offset14(w uint32) int64 { return int64(int32(w<<13)>>18) * 4 }

// DecodeBranch decodes b and bl at pc; ok is false for any other word.
func DecodeBranch(pc uint64, word uint32) (target uint64, link bool, ok bool) {
	if !IsB(word) && !IsBL(word) {
		return 0, false, false
	}
	// The offset's sign bit is bit 25: shift it to the top and back.
	return pc + uint64(int64(int32(word<<6)>>4)), IsBL(word), true
}

// DecodeBranchCond decodes the conditional branches at pc: b.cond, cbz, cbnz, tbz and tbnz;
// ok is false for any other word.
func DecodeBranchCond(pc uint64, word uint32) (target uint64, ok bool) {
	switch {
	case word&0xff000000 == 0x54000000, word&0x7e000000 == 0x34000000:
		return pc + uint64(offset19(word)), true
	case word&0x7e000000 == 0x36000000:
		return pc + uint64(offset14(word)), true
	}
	return 0, false
}

// RegBranch is a branch to the address in a register.
type RegBranch struct {
	Reg    int // 31: xzr
	Link   bool
	Return bool
}

// DecodeBranchReg decodes br, blr and ret; ok is false for any other word.
func DecodeBranchReg(w uint32) (b RegBranch, ok bool) {
	switch w & 0xfffffc1f {
	case opBR:
	case opBLR:
		b.Link = true
	case opRET:
		b.Return = true
	default:
		return RegBranch{}, false
	}
	b.Reg = int(w >> 5 & 31)
	return b, true
}

// DecodeBrk decodes brk; ok is false for any other word.
func DecodeBrk(w uint32) (imm16 uint16, ok bool) {
	return uint16(w >> 5), w&0xffe0001f == opBRK
}

// DecodeAdr decodes adr and adrp at pc; ok is false for any other word. With
// page it is adrp, and addr the start of a 4 KiB page.
func DecodeAdr(pc uint64, word uint32) (rd Reg, addr uint64, page, ok bool) {
	if word&0x1f000000 != 0x10000000 {
		return 0, 0, false, false
	}
	rd = X0 | Reg(word&31)
	imm := uint64(offset19(word)) | uint64(word>>29&3)
	if word>>31 == 0 {
		return rd, pc + imm, false, true
	}
	return rd, pc&^0xfff + imm<<12, true, true
}

// DecodeAddImm decodes add of an immediate to a 64-bit register, shifted or
// not; ok is false for any other word.
func DecodeAddImm(word uint32) (rd, rn Reg, imm uint64, ok bool) {
	if word&0xff800000 != 0x91000000 {
		return 0, 0, 0, false
	}
	return xOrSP(word), xOrSP(word >> 5), uint64(word>>10&0xfff) << (12 * (word >> 22 & 1)), true
}

// DecodeMovz decodes movz of any register; ok is false for any other word.
func DecodeMovz(word uint32) (rd Reg, v uint64, ok bool) {
	if word&0x7f800000 != 0x52800000 || word>>31 == 0 && word>>22&1 != 0 {
		return 0, 0, false
	}
	return X0 | Reg(word&31), uint64(word>>5&0xffff) << (16 * (word >> 21 & 3)), true
}

// DecodeMov decodes mov of a 64-bit register to another, which is orr with xzr; ok is false
// for any other word.
func DecodeMov(word uint32) (rd, rm Reg, ok bool) {
	if word&0xffe0ffe0 != 0xaa0003e0 {
		return 0, 0, false
	}
	return X0 | Reg(word&31), X0 | Reg(word>>16&31), true
}

// DecodeCmp decodes cmp of 64-bit registers, which is subs to xzr; ok is false for any other
// word, also where a register is shifted.
func DecodeCmp(word uint32) (rn, rm Reg, ok bool) {
	if word&0xffe0fc1f != 0xeb00001f {
		return 0, 0, false
	}
	return X0 | Reg(word>>5&31), X0 | Reg(word>>16&31), true
}

// xOrSP is the register in bits 4:0 of a field where 31 is SP.
func xOrSP(w uint32) Reg {
	if w&31 == 31 {
		return SP
	}
	return X0 | Reg(w&31)
}

// DecodeReadCounter decodes MRS Xt, CNTVCT_EL0, for t up to 30.
func DecodeReadCounter(w uint32) (rt uint8, ok bool) {
	rt = uint8(w & 31)
	return rt, w&^31 == 0xd53be040 && rt != 31
}
