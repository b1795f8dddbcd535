package interp

// Operands of the encodings, by the manual's names. The functions named exec*
// execute one instruction straight from its word, with pc on it. They are what
// the architecture says, written for reading; the loop has faster forms of the
// common ones and comes here for all else.

func fieldRd(w uint32) uint32 { return w & 31 }
func fieldRn(w uint32) uint32 { return w >> 5 & 31 }
func fieldRa(w uint32) uint32 { return w >> 10 & 31 }
func fieldRm(w uint32) uint32 { return w >> 16 & 31 }

// signedField is the field of n bits at lsb, sign-extended.
func signedField(w uint32, lsb, n int) uint64 {
	return uint64(int64(uint64(w)<<(64-lsb-n)) >> (64 - n))
}

// reg reads a register, 31 being ZR.
func (c *CPU) reg(n uint32) uint64 { return c.x[n] }

// regSP reads a register, 31 being SP.
func (c *CPU) regSP(n uint32) uint64 { return c.x[srcSP(n)] }

func (c *CPU) setReg(n uint32, v uint64)   { c.x[dstZR(n)] = v }
func (c *CPU) setRegSP(n uint32, v uint64) { c.x[srcSP(n)] = v }

// srcSP is the slot of a register where 31 is SP.
func srcSP(n uint32) uint8 {
	if n == 31 {
		return slotSP
	}
	return uint8(n)
}

// dstZR is the slot of a result where 31 is ZR.
func dstZR(n uint32) uint8 {
	if n == 31 {
		return slotSink
	}
	return uint8(n)
}

// setSized writes a result of 32 or 64 bits.
func (c *CPU) setSized(n uint32, v uint64, is64 bool) {
	if !is64 {
		v = uint64(uint32(v))
	}
	c.setReg(n, v)
}

// shiftReg shifts as ShiftReg does: kind 0 to 3 is LSL, LSR, ASR, ROR.
func shiftReg(v uint64, kind, amount uint32, is64 bool) uint64 {
	if is64 {
		amount &= 63
		switch kind {
		case 0:
			return v << amount
		case 1:
			return v >> amount
		case 2:
			return uint64(int64(v) >> amount)
		}
		return v>>amount | v<<(64-amount)
	}
	w := uint32(v)
	amount &= 31
	switch kind {
	case 0:
		return uint64(w << amount)
	case 1:
		return uint64(w >> amount)
	case 2:
		return uint64(uint32(int32(w) >> amount))
	}
	return uint64(w>>amount | w<<(32-amount))
}

// extendReg extends as ExtendReg does: kind is UXTB, UXTH, UXTW, UXTX, SXTB...
func extendReg(v uint64, kind, shift uint32) uint64 {
	switch kind {
	case 0:
		v = uint64(uint8(v))
	case 1:
		v = uint64(uint16(v))
	case 2:
		v = uint64(uint32(v))
	case 4:
		v = uint64(int64(int8(v)))
	case 5:
		v = uint64(int64(int16(v)))
	case 6:
		v = uint64(int64(int32(v)))
	}
	return v << shift
}
