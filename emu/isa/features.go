package isa

import "callops/asm"

// Features are what CPUs have beyond the integer instructions, as the ID registers tell a kernel,
// which chooses its alternatives by them. None by default: the engines execute no FP or SIMD,
// and pointer authentication is off. A kernel that is told of more takes paths that
// end in an unsupported instruction.
type Features struct {
	FP    bool // FP and Advanced SIMD, cryptography among it
	SVE   bool // which has FP
	PAuth bool
	MTE   bool
	RNDR  bool
}

// ID registers that depend on [Features].
var (
	aa64PFR0  = ID(3, 0, 0, 4, 0)
	aa64PFR1  = ID(3, 0, 0, 4, 1)
	aa64ISAR0 = ID(3, 0, 0, 6, 0)
	aa64ISAR1 = ID(3, 0, 0, 6, 1)
)

// field is four bits of an ID register: what they are with a feature and without.
type field struct {
	reg           asm.SysReg
	shift         int
	with, without uint64
	has           func(Features) bool
}

func hasFP(f Features) bool { return f.FP || f.SVE }

var fields = []field{
	{aa64PFR0, 16, 1, 15, hasFP},                                 // FP
	{aa64PFR0, 20, 1, 15, hasFP},                                 // AdvSIMD
	{aa64PFR0, 32, 1, 0, func(f Features) bool { return f.SVE }}, // SVE
	{aa64PFR1, 8, 2, 0, func(f Features) bool { return f.MTE }},  // MTE
	{aa64ISAR0, 4, 2, 0, hasFP},                                  // AES
	{aa64ISAR0, 8, 1, 0, hasFP},                                  // SHA1
	{aa64ISAR0, 12, 2, 0, hasFP},                                 // SHA2
	{aa64ISAR0, 28, 1, 0, hasFP},                                 // RDM
	{aa64ISAR0, 32, 1, 0, hasFP},                                 // SHA3
	{aa64ISAR0, 36, 1, 0, hasFP},                                 // SM3
	{aa64ISAR0, 40, 1, 0, hasFP},                                 // SM4
	{aa64ISAR0, 44, 1, 0, hasFP},                                 // DP
	{aa64ISAR0, 48, 1, 0, hasFP},                                 // FHM
	{aa64ISAR0, 60, 1, 0, func(f Features) bool { return f.RNDR }},
	{aa64ISAR1, 4, 1, 0, func(f Features) bool { return f.PAuth }},  // APA
	{aa64ISAR1, 24, 1, 0, func(f Features) bool { return f.PAuth }}, // GPA
	{aa64ISAR1, 12, 1, 0, hasFP},                                    // JSCVT
	{aa64ISAR1, 16, 1, 0, hasFP},                                    // FCMA
	{aa64ISAR1, 32, 1, 0, hasFP},                                    // FRINTTS
}

// Registers returns the values of the ID registers that depend on features.
func (f Features) Registers() map[asm.SysReg]uint64 {
	values := make(map[asm.SysReg]uint64)
	for _, field := range fields {
		v, ok := values[field.reg]
		if !ok {
			v = byID[field.reg].Value
		}
		set := field.without
		if field.has(f) {
			set = field.with
		}
		values[field.reg] = v&^(15<<field.shift) | set<<field.shift
	}
	return values
}

// emulated are the registers that an engine with hardware of its own has to keep from it:
// ID registers that say less than it has, and what controls translation and traps.
var emulated = map[asm.SysReg]bool{
	aa64PFR0: true, aa64PFR1: true, aa64ISAR0: true, aa64ISAR1: true,
	ID(3, 0, 1, 0, 0): true, // SCTLR_EL1
	ID(3, 0, 1, 0, 2): true, // CPACR_EL1
	ID(3, 0, 2, 0, 0): true, // TTBR0_EL1
	ID(3, 0, 2, 0, 1): true, // TTBR1_EL1
	ID(3, 0, 2, 0, 2): true, // TCR_EL1
}

// Emulated reports whether a word is an MRS, or else an MSR (register), of a register that is nothing but
// its value here, whatever it would do on hardware; write is that it is an MSR.
func Emulated(w uint32) (id asm.SysReg, write, ok bool) {
	switch w & 0xfff00000 {
	case 0xd5100000:
		write = true
	case 0xd5300000:
	default:
		return 0, false, false
	}
	id = asm.SysReg(w >> 5)
	return id, write, emulated[id]
}
