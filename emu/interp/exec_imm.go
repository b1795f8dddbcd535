package interp

import "callops/asm"

// Data processing, immediate.

func is64(w uint32) bool { return w>>31 == 1 }

func execAdr(c *CPU, w uint32) stop {
	_, addr, _, _ := asm.DecodeAdr(c.pc, w)
	c.setReg(fieldRd(w), addr)
	return stopNone
}

func addSubImm(w uint32) uint64 {
	imm := uint64(w >> 10 & 0xfff)
	if w>>22&1 == 1 {
		imm <<= 12
	}
	return imm
}

func execAddSubImm(c *CPU, w uint32) stop {
	c.addSub(w, c.regSP(fieldRn(w)), addSubImm(w), true)
	return stopNone
}

// addSub is all of ADD, ADDS, SUB and SUBS on operands that are ready. sp says
// that register 31 as the result is SP, unless flags are set.
func (c *CPU) addSub(w uint32, a, b uint64, sp bool) {
	carry := uint64(0)
	if w>>30&1 == 1 {
		b, carry = ^b, 1
	}
	c.addFlags(w, a, b, carry, sp)
}

func (c *CPU) addFlags(w uint32, a, b, carry uint64, sp bool) {
	var r uint64
	var nzcv uint32
	if is64(w) {
		r, nzcv = addWithCarry64(a, b, carry)
	} else {
		var r32 uint32
		r32, nzcv = addWithCarry32(uint32(a), uint32(b), uint32(carry))
		r = uint64(r32)
	}
	switch {
	case w>>29&1 == 1:
		c.flags.set(nzcv)
		c.setReg(fieldRd(w), r)
	case sp:
		c.setRegSP(fieldRd(w), r)
	default:
		c.setReg(fieldRd(w), r)
	}
}

func execLogicalImm(c *CPU, w uint32) stop {
	imm, ok := asm.DecodeBitmask(w>>22&1, w>>16&63, w>>10&63, is64(w))
	if !ok {
		return stopUndefined
	}
	a := c.reg(fieldRn(w))
	switch w >> 29 & 3 {
	case 0:
		a &= imm
	case 1:
		a |= imm
	case 2:
		a ^= imm
	case 3:
		c.setLogic(w, a&imm)
		return stopNone
	}
	if !is64(w) {
		a = uint64(uint32(a))
	}
	c.setRegSP(fieldRd(w), a)
	return stopNone
}

// setLogic writes the result of ANDS or BICS and its flags.
func (c *CPU) setLogic(w uint32, r uint64) {
	if is64(w) {
		c.flags.set(logicFlags64(r))
	} else {
		c.flags.set(logicFlags32(uint32(r)))
	}
	c.setSized(fieldRd(w), r, is64(w))
}

func execMoveWide(c *CPU, w uint32) stop {
	shift := w >> 21 & 3 * 16
	opc := w >> 29 & 3
	if opc == 1 || !is64(w) && shift >= 32 {
		return stopUndefined
	}
	imm := uint64(w>>5&0xffff) << shift
	switch opc {
	case 0: // MOVN
		imm = ^imm
	case 3: // MOVK
		imm |= c.reg(fieldRd(w)) &^ (0xffff << shift)
	}
	c.setSized(fieldRd(w), imm, is64(w))
	return stopNone
}

// bitfieldOperands are immr and imms, not ok when reserved.
func bitfieldOperands(w uint32) (r, s uint32, ok bool) {
	r, s = w>>16&63, w>>10&63
	if w>>22&1 != w>>31 || !is64(w) && (r|s) >= 32 {
		return 0, 0, false
	}
	return r, s, true
}

func execBitfield(c *CPU, w uint32) stop {
	r, s, ok := bitfieldOperands(w)
	opc := w >> 29 & 3
	if !ok || opc == 3 {
		return stopUndefined
	}
	width := uint32(32)
	if is64(w) {
		width = 64
	}
	src, old := c.reg(fieldRn(w)), c.reg(fieldRd(w))
	var lsb, n uint32 // where the field of n bits goes
	if s >= r {
		n = s - r + 1
		src >>= r
	} else {
		n = s + 1
		lsb = width - r
	}
	mask := ^uint64(0) >> (64 - n)
	v := src & mask
	if opc == 0 { // SBFM
		v = uint64(int64(v<<(64-n)) >> (64 - n))
	}
	v <<= lsb
	if opc == 1 { // BFM
		v |= old &^ (mask << lsb)
	}
	c.setSized(fieldRd(w), v, is64(w))
	return stopNone
}

func execExtract(c *CPU, w uint32) stop {
	lsb := w >> 10 & 63
	if w>>29&3 != 0 || w>>21&1 != 0 || w>>22&1 != w>>31 || !is64(w) && lsb >= 32 {
		return stopUndefined
	}
	hi, lo := c.reg(fieldRn(w)), c.reg(fieldRm(w))
	if is64(w) {
		c.setReg(fieldRd(w), lo>>lsb|hi<<(64-lsb))
	} else {
		c.setReg(fieldRd(w), uint64(uint32(lo)>>lsb|uint32(hi)<<(32-lsb)))
	}
	return stopNone
}
