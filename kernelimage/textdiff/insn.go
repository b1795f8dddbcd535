package textdiff

import (
	"callops/asm"
)

// insn is an instruction without what depends on where it lies.
type insn struct {
	pc   uint64
	raw  uint32
	word uint32 // raw without the fields that ref or to stand for
	kind kind
	ref  uint64 // what it refers to; with kind refData its value
	to   int32  // index of the instruction in its function that it may go to; -1: none
}

// kind is what an instruction refers to.
type kind uint8

const (
	refNone    kind = iota
	refAddr         // the address in ref
	refLow          // the address in ref, whose page is in a register
	refLiteral      // a literal at the address in ref, which is not in the function
	refData         // no instruction but data that a load in the function reads
	refAnchor       // as refLow, where the address serves for forming others only
	refKey          // a static branch on the key in ref, taken or not as raw says
)

const none int32 = -1

// The fields of PC-relative instructions and of offsets.
const (
	maskImm26 = 1<<26 - 1
	maskImm19 = (1<<19 - 1) << 5
	maskImm14 = (1<<14 - 1) << 5
	maskAdr   = 3<<29 | maskImm19
	maskImm12 = (1<<12 - 1) << 10
	maskImm9  = (1<<9 - 1) << 12
	maskImm7  = (1<<7 - 1) << 15

	opAdrp = 1 << 31 // on top of adr
)

// pcRelative returns the target of a branch or a literal, and the word without it.
func pcRelative(pc uint64, w uint32) (target uint64, word uint32, branch, ok bool) {
	if target, _, ok = asm.DecodeBranch(pc, w); ok {
		return target, w &^ maskImm26, true, true
	}
	if target, ok = asm.DecodeBranchCond(pc, w); ok {
		field := uint32(maskImm19)
		if w&0x7e000000 == 0x36000000 { // tbz, tbnz
			field = maskImm14
		}
		return target, w &^ field, true, true
	}
	if isLiteral(w) {
		return pc + uint64(int64(int32(w<<8)>>13)*4), w &^ maskImm19, false, true
	}
	return 0, w, false, false
}

// literalSize is how many bytes ldr of a literal loads; 0: it prefetches.
func literalSize(w uint32) uint64 {
	const vector = 1 << 26
	switch opc := w >> 30; {
	case w&vector != 0:
		return 4 << opc
	case opc == 1:
		return 8
	case opc == 3:
		return 0
	}
	return 4
}

// offset is what an instruction adds to a base register, as an immediate.
type offset struct {
	base  uint32 // 31: sp
	imm   uint64
	field uint32 // where it stands
}

// offsetOf decodes ADD of an immediate, and loads and stores with an offset that is not
// written back.
func offsetOf(w uint32) (o offset, ok bool) {
	o.base = w >> 5 & 31
	signed := func(lsb, n uint) uint64 { return uint64(int64(uint64(w)<<(64-lsb-n)) >> (64 - n)) }
	vector := w>>26&1 != 0
	switch {
	case isAdd(w):
		_, _, o.imm, ok = asm.DecodeAddImm(w)
		o.field = maskImm12 | 1<<22
	case w&0x3b000000 == 0x39000000: // ldr, str, prfm: unsigned offset
		scale := w >> 30
		if vector && w>>23&1 != 0 {
			scale = 4
		}
		o.imm, o.field, ok = uint64(w>>10&0xfff)<<scale, maskImm12, true
	case w&0x3b200c00 == 0x38000000, w&0x3f200c00 == 0x19000000: // ldur, stur; ldapur, stlur
		o.imm, o.field, ok = signed(12, 9), maskImm9, true
	case w&0x3b800000 == 0x29000000: // ldp, stp
		scale := 2 + w>>31
		if vector {
			scale = 2 + w>>30
		}
		o.imm, o.field, ok = signed(15, 7)<<scale, maskImm7, true
	}
	return o, ok
}
