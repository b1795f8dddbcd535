package asm

import "fmt"

// What golang.org/x/arch does not know, or knows as a number only: LSE
// atomics, RCpc loads, hints, hvc and smc, branches with pointer
// authentication, names of system registers and cache operations.

func disasmOwn(w uint32) (string, bool) {
	for _, decode := range [...]func(uint32) (string, bool){
		disasmFixed, disasmException, disasmSystem, disasmAtomic, disasmCas, disasmRCpc, disasmAuthBranch, disasmAuth,
	} {
		if s, ok := decode(w); ok {
			return s, true
		}
	}
	return "", false
}

// fixedWords are instructions without operands.
var fixedWords = map[uint32]string{
	0xd503201f: "nop", 0xd503203f: "yield", 0xd503205f: "wfe", 0xd503207f: "wfi",
	0xd503209f: "sev", 0xd50320bf: "sevl", 0xd50320ff: "xpaclri",
	0xd503211f: "pacia1716", 0xd503215f: "pacib1716", 0xd503219f: "autia1716", 0xd50321df: "autib1716",
	0xd503221f: "esb", 0xd503223f: "psb csync", 0xd503225f: "tsb csync", 0xd503229f: "csdb",
	0xd503231f: "paciaz", 0xd503233f: "paciasp", 0xd503235f: "pacibz", 0xd503237f: "pacibsp",
	0xd503239f: "autiaz", 0xd50323bf: "autiasp", 0xd50323df: "autibz", 0xd50323ff: "autibsp",
	0xd503241f: "bti", 0xd503245f: "bti c", 0xd503249f: "bti j", 0xd50324df: "bti jc",
	0xd503309f: "ssbb", 0xd503349f: "pssbb", 0xd50330ff: "sb", 0xd5033fdf: "isb",
	0xd508751f: "ic iallu", 0xd508711f: "ic ialluis", 0xd508871f: "tlbi vmalle1", 0xd508831f: "tlbi vmalle1is",
	0xd65f0bff: "retaa", 0xd65f0fff: "retab", 0xd69f0bff: "eretaa", 0xd69f0fff: "eretab",
}

func disasmFixed(w uint32) (string, bool) {
	s, ok := fixedWords[w]
	return s, ok
}

func disasmException(w uint32) (string, bool) {
	switch {
	case w&0xffe0001f == 0xd4000002:
		return fmt.Sprintf("hvc #%#x", w>>5&0xffff), true
	case w&0xffe0001f == 0xd4000003:
		return fmt.Sprintf("smc #%#x", w>>5&0xffff), true
	case w < 1<<16:
		return fmt.Sprintf("udf #%d", w), true
	}
	return "", false
}

// disasmSystem covers mrs and msr, and the operations that take an address.
func disasmSystem(w uint32) (string, bool) {
	rt := X0 | Reg(w&31)
	switch w & 0xfff00000 {
	case 0xd5300000, 0xd5100000:
		if w&0x00200000 != 0 {
			return fmt.Sprintf("mrs %v, %v", rt, SysReg(w>>5)), true
		}
		return fmt.Sprintf("msr %v, %v", SysReg(w>>5), rt), true
	}
	if name, ok := addressOps[w&^31]; ok {
		return fmt.Sprintf("%s, %v", name, rt), true
	}
	if name, ok := pstateFields[w&^0xf00]; ok {
		return fmt.Sprintf("msr %s, #%#x", name, w>>8&15), true
	}
	return "", false
}

// pstateFields are the targets of msr with an immediate that x/arch lacks.
var pstateFields = map[uint32]string{
	0xd500407f: "uao", 0xd500409f: "pan", 0xd503403f: "ssbs", 0xd503405f: "dit",
}

// addressOps are cache maintenance and address translation by address.
var addressOps = map[uint32]string{
	0xd5087620: "dc ivac", 0xd5087640: "dc isw", 0xd5087a40: "dc csw", 0xd5087e40: "dc cisw",
	0xd50b7420: "dc zva", 0xd50b7a20: "dc cvac", 0xd50b7b20: "dc cvau", 0xd50b7c20: "dc cvap",
	0xd50b7d20: "dc cvadp", 0xd50b7e20: "dc civac", 0xd50b7520: "ic ivau",
	0xd5087800: "at s1e1r", 0xd5087820: "at s1e1w", 0xd5087840: "at s1e0r", 0xd5087860: "at s1e0w",
}

// orderSuffix is that of LSE mnemonics.
func orderSuffix(acquire, release bool) string {
	switch {
	case acquire && release:
		return "al"
	case acquire:
		return "a"
	case release:
		return "l"
	}
	return ""
}

// sized returns the suffix and register for a size field: bytes and halfwords
// have a suffix and a W register, the rest just the register.
func sized(size uint32, n uint32) (suffix string, r Reg) {
	if size == 3 {
		return "", X0 | Reg(n&31)
	}
	return [...]string{"b", "h", ""}[size], W0 | Reg(n&31)
}

func baseReg(w uint32) Reg {
	if n := Reg(w >> 5 & 31); n != 31 {
		return X0 | n
	}
	return SP
}

// disasmAtomic decodes ldadd and its kin, with the st aliases that drop the
// old value, and swp:
//
//	size 111 0 00 A R 1 Rs o3 opc 00 Rn Rt
func disasmAtomic(w uint32) (string, bool) {
	if w&0x3f200c00 != 0x38200000 {
		return "", false
	}
	opc, acquire, release := w>>12&15, w>>23&1 != 0, w>>22&1 != 0
	suffix, rs := sized(w>>30, w>>16)
	_, rt := sized(w>>30, w)
	if opc == 8 {
		return fmt.Sprintf("swp%s%s %v, %v, [%v]", orderSuffix(acquire, release), suffix, rs, rt, baseReg(w)), true
	}
	if opc > 8 {
		return "", false
	}
	op := [...]string{"add", "clr", "eor", "set", "smax", "smin", "umax", "umin"}[opc]
	if rt.isZR() && !acquire {
		return fmt.Sprintf("st%s%s%s %v, [%v]", op, orderSuffix(false, release), suffix, rs, baseReg(w)), true
	}
	return fmt.Sprintf("ld%s%s%s %v, %v, [%v]", op, orderSuffix(acquire, release), suffix, rs, rt, baseReg(w)), true
}

// disasmCas decodes cas and casp:
//
//	size 001000 1 L 1 Rs o0 11111 Rn Rt    cas
//	0 sz 001000 0 L 1 Rs o0 11111 Rn Rt    casp
func disasmCas(w uint32) (string, bool) {
	order := orderSuffix(w>>22&1 != 0, w>>15&1 != 0)
	switch {
	case w&0x3fa07c00 == opCas:
		suffix, rs := sized(w>>30, w>>16)
		_, rt := sized(w>>30, w)
		return fmt.Sprintf("cas%s%s %v, %v, [%v]", order, suffix, rs, rt, baseReg(w)), true
	case w&0xbfa07c00 == 0x08207c00 && w&0x00010001 == 0:
		size := 2 + w>>30&1
		_, rs := sized(size, w>>16)
		_, rt := sized(size, w)
		return fmt.Sprintf("casp%s %v, %v, %v, %v, [%v]", order, rs, rs+1, rt, rt+1, baseReg(w)), true
	}
	return "", false
}

// disasmRCpc decodes ldapr and the unscaled ldapur and stlur.
func disasmRCpc(w uint32) (string, bool) {
	suffix, rt := sized(w>>30, w)
	switch {
	case w&0x3ffffc00 == opLdapr:
		return fmt.Sprintf("ldapr%s %v, [%v]", suffix, rt, baseReg(w)), true
	case w&0x3fa00c00 == 0x19000000:
		imm := int32(w<<11) >> 23
		op := pick(w>>22&1 == 1, "stlur", "ldapur")
		if imm == 0 {
			return fmt.Sprintf("%s%s %v, [%v]", op, suffix, rt, baseReg(w)), true
		}
		return fmt.Sprintf("%s%s %v, [%v, #%d]", op, suffix, rt, baseReg(w), imm), true
	}
	return "", false
}

// disasmAuthBranch decodes braa, blraa and their kin: Z in bit 24 tells whether
// there is a modifier, bit 10 picks the key.
func disasmAuthBranch(w uint32) (string, bool) {
	if w&0xfedff800 != 0xd61f0800 {
		return "", false
	}
	op := pick(w>>21&1 == 1, "br", "blr") + pick(w>>10&1 == 1, "aa", "ab")
	rn := X0 | Reg(w>>5&31)
	switch {
	case w>>24&1 != 0:
		return fmt.Sprintf("%s %v, %v", op, rn, baseReg(w<<5)), true
	case w&31 == 31:
		return fmt.Sprintf("%sz %v", op, rn), true
	}
	return "", false
}

// disasmAuth decodes the register forms of pac, aut and xpac.
func disasmAuth(w uint32) (string, bool) {
	if w&0xffff0000 != 0xdac10000 {
		return "", false
	}
	opc, rd := w>>10&63, X0|Reg(w&31)
	names := [...]string{"pacia", "pacib", "pacda", "pacdb", "autia", "autib", "autda", "autdb"}
	switch {
	case opc < 8:
		return fmt.Sprintf("%s %v, %v", names[opc], rd, baseReg(w)), true
	case w>>5&31 != 31:
	case opc < 16:
		name := names[opc-8]
		return fmt.Sprintf("%sz%s %v", name[:4], name[4:], rd), true
	case opc == 16, opc == 17:
		return fmt.Sprintf("%s %v", pick(opc&1 == 1, "xpaci", "xpacd"), rd), true
	}
	return "", false
}
