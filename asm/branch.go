package asm

import "fmt"

// Reach of PC-relative operands in bytes: a distance d is encodable if
// -Reach <= d < Reach.
const (
	BranchReach     = 1 << (26 + 2 - 1) // b, bl: 26 bits of words
	CondBranchReach = 1 << (19 + 2 - 1) // b.cond, cbz, cbnz
	TestBranchReach = 1 << (14 + 2 - 1) // tbz, tbnz
	AdrReach        = 1 << (21 - 1)     // adr: 21 bits of bytes
	AdrpReach       = AdrReach << 12    // adrp: 21 bits of pages
	LiteralReach    = 1 << (19 + 2 - 1) // ldr of a literal
)

// Words a call site is made of.
const (
	NOP     uint32 = 0xd503201f
	MovX9LR uint32 = 0xaa1e03e9 // mov x9, x30
)

const (
	opB     = 0x14000000
	opBL    = 0x94000000
	opBR    = 0xd61f0000
	opBLR   = 0xd63f0000
	opRET   = 0xd65f0000
	opBRK   = 0xd4200000
	btiWord = 0xd503241f
)

// EncodeB returns the word of b target at pc.
func EncodeB(pc, target uint64) (uint32, error) { return encodeBranch("b", opB, pc, target) }

// EncodeBL returns the word of bl target at pc.
func EncodeBL(pc, target uint64) (uint32, error) { return encodeBranch("bl", opBL, pc, target) }

func encodeBranch(op string, word uint32, pc, target uint64) (uint32, error) {
	if pc%4 != 0 || target%4 != 0 {
		return 0, fmt.Errorf("%s from %#x to %#x: %w", op, pc, target, ErrMisaligned)
	}
	bits, err := pcRelative(op, pc, target, BranchReach)
	return word | bits>>2&(1<<26-1), err
}

// pcRelative returns the distance as the low bits of a two's complement number.
// The subtraction wraps, so a branch across address 0 is as short as it looks.
func pcRelative(op string, pc, target uint64, reach int64) (uint32, error) {
	d := int64(target - pc)
	if d < -reach || d >= reach {
		return 0, &RangeError{Op: op, From: pc, To: target, Min: -reach, Max: reach}
	}
	return uint32(d), nil
}

// IsNop reports whether w is nop.
func IsNop(w uint32) bool { return w == NOP }

// IsB reports whether w is b.
func IsB(w uint32) bool { return w&0xfc000000 == opB }

// IsBL reports whether w is bl.
func IsBL(w uint32) bool { return w&0xfc000000 == opBL }

// IsBTI reports whether w is bti, of any kind.
func IsBTI(w uint32) bool { return w&^0xc0 == btiWord }
