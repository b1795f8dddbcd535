package effects

// Branches, exceptions and system (Arm ARM C4.1, "Branches, Exception
// Generating and System instructions").

func (o *Operands) branchImm(w insn) bool {
	o.Branch = true
	if w.is64() {
		o.Call = true
		o.Writes = SetOf(30)
	}
	return true
}

func (o *Operands) branchCond(w insn) bool {
	o.Branch = true
	o.Reads = setFlagsIf(w)
	return true
}

func (o *Operands) compareBranch(w insn) bool {
	o.Branch = true
	o.Reads = SetOf(w.rd())
	return true
}

// branchReg is BR, BLR, RET, ERET and their forms with pointer authentication,
// which have a modifier.
func (o *Operands) branchReg(w insn) bool {
	opc, op3, op4, rn := w>>21&15, w>>10&63, w&31, w.rn()
	if w>>16&31 != 31 {
		return false
	}
	o.Branch = true
	auth := op3 == 2 || op3 == 3
	switch {
	case opc == 4 && rn == 31 && op3 == 0 && op4 == 0: // ERET
		o.Reads, o.Addr = SetSystem, SetSystem
	case opc == 4 && rn == 31 && auth && op4 == 31: // ERETAA
		o.Reads, o.Addr = SetSystem|SetSP, SetSystem
	case opc <= 2 && op3 == 0 && op4 == 0: // BR, BLR, RET
		o.Addr = SetOf(rn)
	case opc <= 1 && auth && op4 == 31: // BRAAZ, BLRAAZ
		o.Addr = SetOf(rn)
	case opc == 2 && auth && op4 == 31 && rn == 31: // RETAA
		o.Addr = SetOf(30)
		o.Reads = SetSP
	case opc&^1 == 8 && auth: // BRAA, BLRAA
		o.Addr = SetOf(rn)
		o.Reads = setSP(w.rd())
	default:
		return false
	}
	o.Reads |= o.Addr
	switch {
	case opc == 4:
		// The new PSTATE, and with it the stack pointer that SP names.
		o.Context = true
		o.Writes = SetFlags | SetSystem | SetSP
	case opc&7 == 1:
		o.Call = true
		o.Writes = SetOf(30)
	}
	return true
}

func (o *Operands) exception(w insn) bool {
	o.Exception = true
	switch w & 0xffe0001f {
	case 0xd4000001, 0xd4000002, 0xd4000003, 0xd4200000, 0xd4400000:
		return true
	}
	return false
}

const x16, x17, x30 RegSet = 1 << 16, 1 << 17, 1 << 30

// hints are those of pointer authentication, by CRm:op2. They write what they
// read: the same, where it is off.
var hints = map[insn]struct{ reads, writes RegSet }{
	7:  {x30, x30},         // XPACLRI
	8:  {x16 | x17, x17},   // PACIA1716
	10: {x16 | x17, x17},   // PACIB1716
	12: {x16 | x17, x17},   // AUTIA1716
	14: {x16 | x17, x17},   // AUTIB1716
	24: {x30, x30},         // PACIAZ
	25: {x30 | SetSP, x30}, // PACIASP
	26: {x30, x30},         // PACIBZ
	27: {x30 | SetSP, x30}, // PACIBSP
	28: {x30, x30},         // AUTIAZ
	29: {x30 | SetSP, x30}, // AUTIASP
	30: {x30, x30},         // AUTIBZ
	31: {x30 | SetSP, x30}, // AUTIBSP
	40: {x16, x16},         // CHKFEAT
}

// hint is the hints, in which all that is not allocated is NOP.
func (o *Operands) hint(w insn) bool {
	h := hints[w>>5&127]
	o.Reads, o.Writes = h.reads, h.writes
	return true
}

// barrier is CLREX, DSB, DMB, ISB and SB. Two DSB are not what they seem: SSBB
// and PSSBB order speculation, not accesses.
func (o *Operands) barrier(w insn) bool {
	crm := uint8(w >> 8 & 15)
	switch w >> 5 & 7 {
	case 2:
		o.Exclusive = true
		return true
	case 4:
		o.Barrier = crm&^4 != 0
		o.Waits = o.Barrier
	case 5:
		o.Barrier = true
	case 6:
		o.Context = true
		return true
	case 7:
		return crm == 0
	default:
		return false
	}
	if o.Barrier {
		o.Domain = crm
		if crm&3 == 0 { // reserved, and everything
			o.Domain = 15
		}
	}
	return true
}
