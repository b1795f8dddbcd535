// Package isa names the part of A64 that the engines execute, so that they
// refuse the same words: the integer instructions at EL1, and of the system
// registers and system instructions those whose effect the machine has.
//
// FP, SIMD, SVE, exception returns, and registers that control translation or
// debugging are [Unsupported]: the architecture defines them, callops does not
// execute them. What it leaves unallocated is [Undefined].
//
// The numbers are those of the Arm Architecture Reference Manual (DDI 0487),
// chapter "A64 Instruction Set Encoding". Start at [Classify].
package isa

import "callops/asm"

// Class is what an engine does with a word.
type Class uint8

const (
	// Undefined: the word is no instruction of this machine.
	Undefined Class = iota
	// Unsupported: the architecture defines it, the engines do not execute it.
	Unsupported
	// Executed: the word belongs to a class of instructions that the engines
	// execute. Reserved words in those classes are for the engine to find.
	Executed
)

func (c Class) String() string {
	return [...]string{"undefined", "unsupported", "executed"}[c]
}

// row is a set of words: those for which word&mask is value. decide, if set,
// has the class of each.
type row struct {
	mask, value uint32
	class       Class
	decide      func(w uint32) Class
}

// rows do not overlap within a list. What no row has is undefined.
var (
	branches = []row{
		{0x7c000000, 0x14000000, Executed, nil},    // B, BL
		{0x7e000000, 0x34000000, Executed, nil},    // CBZ, CBNZ
		{0x7e000000, 0x36000000, Executed, nil},    // TBZ, TBNZ
		{0xff000010, 0x54000000, Executed, nil},    // B.cond
		{0xffe0001f, 0xd4000001, Executed, nil},    // SVC
		{0xffe0001f, 0xd4000002, Executed, nil},    // HVC
		{0xffe0001f, 0xd4000003, Executed, nil},    // SMC
		{0xffe0001f, 0xd4200000, Executed, nil},    // BRK
		{0xffe0001f, 0xd4400000, Executed, nil},    // HLT
		{0xfffff01f, 0xd503201f, Executed, nil},    // hints
		{0xfffff01f, 0xd503301f, Executed, nil},    // barriers, CLREX
		{0xfff8f01f, 0xd500401f, 0, pstate},        // MSR (immediate), CFINV and the like
		{0xfff80000, 0xd5080000, 0, system},        // SYS
		{0xfff00000, 0xd5100000, 0, writing},       // MSR (register)
		{0xfff00000, 0xd5300000, 0, reading},       // MRS
		{0xff9ffc1f, 0xd61f0000, 0, plainJump},     // BR, BLR, RET
		{0xff9ff81f, 0xd61f081f, 0, signedJump},    // BRAAZ, BLRAAZ, RETAA
		{0xffdff800, 0xd71f0800, Executed, nil},    // BRAA, BLRAA
		{0xffffffff, 0xd69f03e0, Unsupported, nil}, // ERET
		{0xfffffbff, 0xd69f0bff, Unsupported, nil}, // ERETAA, ERETAB
	}
	vectorMemory = []row{
		{0xbe000000, 0x0c000000, Unsupported, nil}, // LD1, ST1 and the like
		{0x3f000000, 0x1c000000, Unsupported, nil}, // LDR (literal)
		{0x3e000000, 0x2c000000, Unsupported, nil}, // LDP, STP
		{0x3f200000, 0x3c000000, Unsupported, nil}, // LDUR, STUR, pre- and post-indexed
		{0x3f200c00, 0x3c200800, Unsupported, nil}, // LDR, STR (register)
		{0x3f000000, 0x3d000000, Unsupported, nil}, // LDR, STR (unsigned offset)
	}
	vector = []row{
		{0x8e000000, 0x0e000000, Unsupported, nil}, // FP, SIMD
		{0xfe000000, 0x9e000000, Unsupported, nil}, // FP from and to 64-bit registers
		{0xfe000000, 0xce000000, Unsupported, nil}, // SHA512, SHA3, SM3, SM4
	}
	all = func(c Class) []row { return []row{{0, 0, c, nil}} }
)

// groups are the rows by bits 28:25, the first step of decoding.
var groups = [16][]row{
	0:  nil,
	1:  nil,
	2:  all(Unsupported), // SVE
	3:  nil,
	4:  all(Executed), // loads and stores
	5:  all(Executed), // data processing, register
	6:  vectorMemory,
	7:  vector,
	8:  all(Executed), // data processing, immediate
	9:  all(Executed),
	10: branches,
	11: branches,
	12: all(Executed),
	13: all(Executed),
	14: vectorMemory,
	15: vector,
}

// Classify returns what the engines do with a word.
func Classify(w uint32) Class {
	g := groups[w>>25&15]
	for i := range g {
		r := &g[i]
		if w&r.mask != r.value {
			continue
		}
		if r.decide != nil {
			return r.decide(w)
		}
		return r.class
	}
	return Undefined
}

// IsFP reports whether a word is in the groups of FP, SIMD and SVE instructions,
// their loads and stores included.
func IsFP(w uint32) bool {
	switch w >> 25 & 15 {
	case 2, 6, 7, 14, 15:
		return true
	}
	return false
}

func known(ok bool) Class {
	if ok {
		return Executed
	}
	return Undefined
}

// plainJump: BR, BLR and RET are opc 0 to 2.
func plainJump(w uint32) Class { return known(w>>21&3 != 3) }

// signedJump: RETAA has 31 for the register.
func signedJump(w uint32) Class {
	opc, rn := w>>21&3, w>>5&31
	return known(opc < 2 || opc == 2 && rn == 31)
}

// pstate is MSR (immediate) and what shares its encoding. With SPSel 0, SP
// would become another register than callers know.
func pstate(w uint32) Class {
	switch w>>16&7<<3 | w>>5&7 {
	case 0, 1, 2, 3, 4, 3<<3 | 6, 3<<3 | 7: // CFINV, XAFLAG, AXFLAG, UAO, PAN, DAIFSet, DAIFClr
		return Executed
	case 5:
		if w>>8&1 == 0 {
			return Unsupported
		}
		return Executed
	}
	return Undefined
}

// system is SYS: cache and TLB maintenance.
func system(w uint32) Class {
	op1, crn, crm, op2 := w>>16&7, w>>12&15, w>>8&15, w>>5&7
	switch {
	case crn == 7 && op1 == 3 && op2 == 1:
		return known(crm == 4 || crm == 5 || crm >= 10 && crm <= 14) // DC ZVA, IC IVAU, DC CVAC, CVAU, CVAP, CVADP, CIVAC
	case crn == 7 && op1 == 0 && (crm == 8 || crm == 9):
		return Unsupported // AT
	case crn == 7 && op1 == 0:
		switch crm<<4 | op2 {
		case 0x10, 0x50, 0x61, 0x62, 0xa2, 0xe2: // IC IALLUIS, IALLU, DC IVAC, ISW, CSW, CISW
			return Executed
		}
	case crn == 8 && op1 == 0 && (crm == 3 || crm == 7): // TLBI of EL1
		return known(op2 != 4 && op2 != 6)
	}
	return Undefined
}

// TextLine is the size of a line of the instruction cache, in bytes (CTR_EL0.IminLine).
const TextLine = 64

// TextMaintenance reports whether a word invalidates the instruction cache: the
// line of the address in its register (IC IVAU), or, with all, the whole cache (IC IALLU,
// IC IALLUIS).
func TextMaintenance(w uint32) (all, ok bool) {
	switch {
	case w&^31 == 0xd50b7520:
		return false, true
	case w == 0xd508711f, w == 0xd508751f:
		return true, true
	}
	return false, false
}

func reading(w uint32) Class { return access(asm.SysReg(w>>5), false) }
func writing(w uint32) Class { return access(asm.SysReg(w>>5), true) }

// access is MRS or MSR (register).
func access(id asm.SysReg, write bool) Class {
	if r, ok := Lookup(id); ok && (!write || r.Kind != Constant) {
		return Executed
	}
	return beyond(id)
}
