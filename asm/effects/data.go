package effects

import "callops/asm"

// Data processing, immediate (Arm ARM C4.1, "Data Processing -- Immediate").

// result notes that Rd is written, 31 being SP if sp.
func (o *Operands) result(w insn, sp bool) {
	if sp {
		o.Writes |= setSP(w.rd())
	} else {
		o.Writes |= SetOf(w.rd())
	}
}

// addSub is the rest of ADD, ADDS, SUB and SUBS. With sp their result may
// be SP, which that of the forms that set flags never is.
func (o *Operands) addSub(w insn, sp bool) {
	flags := w.bit(29)
	if flags {
		o.Writes |= SetFlags
	}
	o.result(w, sp && !flags)
}

func (o *Operands) adr(w insn) bool {
	o.result(w, false)
	return true
}

func (o *Operands) addSubImm(w insn) bool {
	o.Reads = setSP(w.rn())
	o.addSub(w, true)
	return true
}

func (o *Operands) logicalImm(w insn) bool {
	o.Reads = SetOf(w.rn())
	o.logical(w, true)
	_, ok := asm.DecodeBitmask(uint32(w>>22&1), uint32(w>>16&63), uint32(w>>10&63), w.is64())
	return ok
}

// logical is the rest of AND, ORR, EOR and ANDS.
func (o *Operands) logical(w insn, sp bool) {
	flags := w>>29&3 == 3
	if flags {
		o.Writes |= SetFlags
	}
	o.result(w, sp && !flags)
}

func (o *Operands) moveWide(w insn) bool {
	opc := w >> 29 & 3
	if opc == 3 { // MOVK keeps the rest of Rd
		o.Reads = SetOf(w.rd())
	}
	o.result(w, false)
	return opc != 1 && (w.is64() || !w.bit(22))
}

func (o *Operands) bitfield(w insn) bool {
	opc := w >> 29 & 3
	o.Reads = SetOf(w.rn())
	if opc == 1 { // BFM keeps the rest of Rd
		o.Reads |= SetOf(w.rd())
	}
	o.result(w, false)
	return opc != 3 && w.bit(22) == w.is64() && (w.is64() || !w.bit(21) && !w.bit(15))
}

func (o *Operands) extract(w insn) bool {
	o.Reads = SetOf(w.rn()) | SetOf(w.rm())
	o.result(w, false)
	return w>>29&3 == 0 && !w.bit(21) && w.bit(22) == w.is64() && (w.is64() || !w.bit(15))
}

// Data processing, register (Arm ARM C4.1, "Data Processing -- Register").

// operands are Rn and Rm, both of which can be the zero register.
func (o *Operands) operands(w insn) { o.Reads |= SetOf(w.rn()) | SetOf(w.rm()) }

func (o *Operands) logicalShifted(w insn) bool {
	o.operands(w)
	o.logical(w, false)
	return w.is64() || !w.bit(15)
}

func (o *Operands) addSubShifted(w insn) bool {
	o.operands(w)
	o.addSub(w, false)
	return w>>22&3 != 3 && (w.is64() || !w.bit(15))
}

func (o *Operands) addSubExtended(w insn) bool {
	o.Reads = setSP(w.rn()) | SetOf(w.rm())
	o.addSub(w, true)
	return w>>10&7 <= 4
}

func (o *Operands) addCarry(w insn) bool {
	o.operands(w)
	o.Reads |= SetFlags
	o.addSub(w, false)
	return true
}

// rotateIntoFlags is RMIF, which keeps the flags that its mask leaves out.
func (o *Operands) rotateIntoFlags(w insn) bool {
	o.Reads, o.Writes = SetOf(w.rn()), SetFlags
	if w&15 != 15 {
		o.Reads |= SetFlags
	}
	return true
}

// evaluateIntoFlags is SETF8 and SETF16, which keep C.
func (o *Operands) evaluateIntoFlags(w insn) bool {
	o.Reads, o.Writes = SetOf(w.rn())|SetFlags, SetFlags
	return true
}

func (o *Operands) condCompare(w insn) bool {
	o.Reads = SetOf(w.rn()) | setFlagsIf(w>>12)
	if !w.bit(11) { // or else Rm is a number
		o.Reads |= SetOf(w.rm())
	}
	o.Writes = SetFlags
	return true
}

func (o *Operands) condSelect(w insn) bool {
	o.operands(w)
	o.Reads |= setFlagsIf(w >> 12)
	o.result(w, false)
	return true
}

func (o *Operands) threeSources(w insn) bool {
	o.operands(w)
	o.result(w, false)
	switch op := w>>21&7<<1 | w>>15&1; op {
	case 0, 1, 2, 3, 10, 11: // MADD, MSUB, SMADDL, SMSUBL, UMADDL, UMSUBL
		o.Reads |= SetOf(w.ra())
		return op <= 1 || w.is64()
	case 4, 12: // SMULH, UMULH
		return w.is64()
	}
	return false
}

func (o *Operands) twoSources(w insn) bool {
	o.operands(w)
	o.result(w, false)
	switch op := w >> 10 & 63; {
	case op == 2, op == 3, op >= 8 && op <= 11: // UDIV, SDIV, LSLV and so on
		return true
	case op >= 16 && op <= 23: // CRC32
		return (op&3 == 3) == w.is64()
	}
	return false
}

func (o *Operands) oneSource(w insn) bool {
	op := w >> 10 & 63
	o.result(w, false)
	switch w.rm() {
	case 0: // RBIT, REV16, REV32 or REV, REV, CLZ, CLS
		o.Reads = SetOf(w.rn())
		return op <= 5 && (op != 3 || w.is64())
	case 1: // PACIA and so on sign Rd; XPACI has no modifier
		o.Reads = SetOf(w.rd())
		if op < 8 {
			o.Reads |= setSP(w.rn())
		}
		return w.is64() && op <= 17 && (op < 8 || w.rn() == 31)
	}
	return false
}
