package interp

import (
	"math"
	"math/bits"
)

// Data processing, register.

func execLogicalShifted(c *CPU, w uint32) stop {
	amount := w >> 10 & 63
	if !is64(w) && amount >= 32 {
		return stopUndefined
	}
	a, b := c.reg(fieldRn(w)), shiftReg(c.reg(fieldRm(w)), w>>22&3, amount, is64(w))
	if w>>21&1 == 1 {
		b = ^b
	}
	switch w >> 29 & 3 {
	case 0:
		a &= b
	case 1:
		a |= b
	case 2:
		a ^= b
	case 3:
		c.setLogic(w, a&b)
		return stopNone
	}
	c.setSized(fieldRd(w), a, is64(w))
	return stopNone
}

func execAddSubShifted(c *CPU, w uint32) stop {
	kind, amount := w>>22&3, w>>10&63
	if kind == 3 || !is64(w) && amount >= 32 {
		return stopUndefined
	}
	c.addSub(w, c.reg(fieldRn(w)), shiftReg(c.reg(fieldRm(w)), kind, amount, is64(w)), false)
	return stopNone
}

func execAddSubExtended(c *CPU, w uint32) stop {
	shift := w >> 10 & 7
	if shift > 4 || w>>22&3 != 0 {
		return stopUndefined
	}
	c.addSub(w, c.regSP(fieldRn(w)), extendReg(c.reg(fieldRm(w)), w>>13&7, shift), true)
	return stopNone
}

func execAddCarry(c *CPU, w uint32) stop {
	b := c.reg(fieldRm(w))
	if w>>30&1 == 1 {
		b = ^b
	}
	c.addFlags(w, c.reg(fieldRn(w)), b, uint64(c.flags.get()>>1&1), false)
	return stopNone
}

func execRmif(c *CPU, w uint32) stop {
	v := uint32(bits.RotateLeft64(c.reg(fieldRn(w)), -int(w>>15&63)))
	mask := w & 15
	c.flags.set(c.flags.get()&^mask | v&mask)
	return stopNone
}

func execSetf(c *CPU, w uint32) stop {
	v := uint32(c.reg(fieldRn(w))) << 24 // SETF8
	over := uint32(8)
	if w>>14&1 == 1 {
		v = uint32(c.reg(fieldRn(w))) << 16
		over = 16
	}
	nzcv := c.flags.get()&flagC | v>>31*flagN | bit(v == 0, flagZ)
	if v>>31 != uint32(c.reg(fieldRn(w)))>>over&1 {
		nzcv |= flagV
	}
	c.flags.set(nzcv)
	return stopNone
}

// execCondCompare is CCMP and CCMN, register and immediate.
func execCondCompare(c *CPU, w uint32) stop {
	if !c.cond(w >> 12 & 15) {
		c.flags.set(w & 15)
		return stopNone
	}
	b := uint64(fieldRm(w))
	if w>>11&1 == 0 {
		b = c.reg(fieldRm(w))
	}
	// The low bits are nzcv, so the result must not go to that register.
	c.addSub(w|31, c.reg(fieldRn(w)), b, false)
	return stopNone
}

func execCondSelect(c *CPU, w uint32) stop {
	if c.cond(w >> 12 & 15) {
		c.setSized(fieldRd(w), c.reg(fieldRn(w)), is64(w))
		return stopNone
	}
	v := c.reg(fieldRm(w))
	if w>>30&1 == 1 {
		v = ^v
	}
	v += uint64(w >> 10 & 1)
	c.setSized(fieldRd(w), v, is64(w))
	return stopNone
}

// exec3Source is MADD and its like.
func exec3Source(c *CPU, w uint32) stop {
	n, m, a := c.reg(fieldRn(w)), c.reg(fieldRm(w)), c.reg(fieldRa(w))
	op := w>>21&7<<1 | w>>15&1
	if w>>29&3 != 0 || op > 1 && !is64(w) {
		return stopUndefined
	}
	switch op {
	case 0: // MADD
		a += n * m
	case 1: // MSUB
		a -= n * m
	case 2: // SMADDL
		a += uint64(int64(int32(n)) * int64(int32(m)))
	case 3: // SMSUBL
		a -= uint64(int64(int32(n)) * int64(int32(m)))
	case 4: // SMULH
		a = mulHigh(n, m)
	case 10: // UMADDL
		a += uint64(uint32(n)) * uint64(uint32(m))
	case 11: // UMSUBL
		a -= uint64(uint32(n)) * uint64(uint32(m))
	case 12: // UMULH
		a, _ = bits.Mul64(n, m)
	default:
		return stopUndefined
	}
	c.setSized(fieldRd(w), a, is64(w))
	return stopNone
}

// mulHigh is the signed high product.
func mulHigh(n, m uint64) uint64 {
	hi, _ := bits.Mul64(n, m)
	return hi - uint64(int64(n)>>63)&m - uint64(int64(m)>>63)&n
}

func exec2Source(c *CPU, w uint32) stop {
	n, m := c.reg(fieldRn(w)), c.reg(fieldRm(w))
	op := w >> 10 & 63
	switch {
	case op == 2 && is64(w):
		m = udiv(n, m)
	case op == 2:
		m = udiv(uint64(uint32(n)), uint64(uint32(m)))
	case op == 3 && is64(w):
		m = sdiv64(n, m)
	case op == 3:
		m = sdiv32(uint32(n), uint32(m))
	case op >= 8 && op <= 11:
		m = shiftReg(n, op&3, uint32(m)&63, is64(w))
	case op >= 16 && op <= 23 && (op&3 == 3) == is64(w):
		m = crc32(uint32(n), m, op&3, op&4 != 0)
		c.setReg(fieldRd(w), m)
		return stopNone
	case op == 12 && is64(w):
		return stopUndefined // PACGA, with pointer authentication off
	default:
		return stopUndefined
	}
	c.setSized(fieldRd(w), m, is64(w))
	return stopNone
}

func udiv(n, m uint64) uint64 {
	if m == 0 {
		return 0
	}
	return n / m
}

// sdiv64 relies on Go for the most negative number divided by -1: the result
// is that number again, as here.
func sdiv64(n, m uint64) uint64 {
	if m == 0 {
		return 0
	}
	return uint64(int64(n) / int64(m))
}

func sdiv32(n, m uint32) uint64 {
	switch {
	case m == 0:
		return 0
	case m == math.MaxUint32:
		return uint64(-n)
	}
	return uint64(uint32(int32(n) / int32(m)))
}

// exec1Source is RBIT and its like.
func exec1Source(c *CPU, w uint32) stop {
	v, op := c.reg(fieldRn(w)), w>>10&63
	switch w >> 16 & 31 {
	case 0:
	case 1:
		return execPointerAuth(c, w)
	default:
		return stopUndefined
	}
	var ok bool
	if is64(w) {
		v, ok = oneSource64(v, op)
	} else {
		v, ok = oneSource32(uint32(v), op)
	}
	if !ok {
		return stopUndefined
	}
	c.setReg(fieldRd(w), v)
	return stopNone
}

func oneSource64(v uint64, op uint32) (uint64, bool) {
	switch op {
	case 0:
		return bits.Reverse64(v), true
	case 1:
		return v&0xff00ff00ff00ff00>>8 | v&0x00ff00ff00ff00ff<<8, true
	case 2:
		return uint64(bits.ReverseBytes32(uint32(v))) | uint64(bits.ReverseBytes32(uint32(v>>32)))<<32, true
	case 3:
		return bits.ReverseBytes64(v), true
	case 4:
		return uint64(bits.LeadingZeros64(v)), true
	case 5:
		return uint64(bits.LeadingZeros64(v^uint64(int64(v)>>63))) - 1, true
	}
	return 0, false
}

func oneSource32(v, op uint32) (uint64, bool) {
	switch op {
	case 0:
		return uint64(bits.Reverse32(v)), true
	case 1:
		return uint64(v&0xff00ff00>>8 | v&0x00ff00ff<<8), true
	case 2:
		return uint64(bits.ReverseBytes32(v)), true
	case 4:
		return uint64(bits.LeadingZeros32(v)), true
	case 5:
		return uint64(bits.LeadingZeros32(v^uint32(int32(v)>>31))) - 1, true
	}
	return 0, false
}

// execPointerAuth is PACIA and its like, which do nothing with pointer
// authentication off. The architecture has XPACI and XPACD strip regardless of
// that; here they do nothing either, as in QEMU.
func execPointerAuth(_ *CPU, w uint32) stop {
	op := w >> 10 & 63
	if !is64(w) || op > 17 || op >= 8 && fieldRn(w) != 31 {
		return stopUndefined
	}
	return stopNone
}
