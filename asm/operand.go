package asm

import "fmt"

// Cond is a condition, in the order of its encoding.
type Cond uint8

const (
	EQ Cond = iota
	NE
	HS
	LO
	MI
	PL
	VS
	VC
	HI
	LS
	GE
	LT
	GT
	LE
	AL
	NV // behaves as AL

	CS = HS
	CC = LO
)

var condNames = [...]string{"eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv"}

// Invert returns the opposite condition. AL and NV both mean always, so their
// inversion swaps encodings, not meanings.
func (c Cond) Invert() Cond { return c ^ 1 }

func (c Cond) String() string {
	if int(c) < len(condNames) {
		return condNames[c]
	}
	return fmt.Sprintf("Cond(%d)", uint8(c))
}

// Shift is the optional shift of a register operand. The zero value is LSL(0).
type Shift struct {
	kind   uint8
	amount int
}

const (
	shiftLSL = iota
	shiftLSR
	shiftASR
	shiftROR
)

// LSL shifts the last register operand left by n bits.
func LSL(n int) Shift { return Shift{shiftLSL, n} }

// LSR shifts the last register operand right by n bits.
func LSR(n int) Shift { return Shift{shiftLSR, n} }

// ASR shifts the last register operand right by n bits, copying the sign.
func ASR(n int) Shift { return Shift{shiftASR, n} }

// ROR rotates the last register operand right by n bits. Logical
// instructions have it, arithmetic ones do not.
func ROR(n int) Shift { return Shift{shiftROR, n} }

func (s Shift) String() string {
	return fmt.Sprintf("%s #%d", [...]string{"lsl", "lsr", "asr", "ror"}[s.kind&3], s.amount)
}

// Ext is how a register operand is extended, in the order of its encoding.
type Ext uint8

const (
	UXTB Ext = iota
	UXTH
	UXTW
	UXTX
	SXTB
	SXTH
	SXTW
	SXTX
)

var extNames = [...]string{"uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"}

func (e Ext) String() string {
	if int(e) < len(extNames) {
		return extNames[e]
	}
	return fmt.Sprintf("Ext(%d)", uint8(e))
}

// takes64 reports whether the extended register is an X register.
func (e Ext) takes64() bool { return e&3 == UXTX }

type memMode uint8

const (
	memOffset memMode = iota
	memPre
	memPost
	memIndex
)

// Mem is the address operand of a load or store. [Base], [Off], [Pre],
// [Post], [Idx] and [IdxExt] make one.
type Mem struct {
	base, index Reg
	mode        memMode
	ext         Ext
	shift       int
	imm         int64
}

// Base is [rn].
func Base(rn Reg) Mem { return Off(rn, 0) }

// Off is [rn, #imm].
func Off(rn Reg, imm int64) Mem { return Mem{base: rn, imm: imm} }

// Pre is [rn, #imm]!: rn is updated before the access.
func Pre(rn Reg, imm int64) Mem { return Mem{base: rn, imm: imm, mode: memPre} }

// Post is [rn], #imm: rn is updated after the access.
func Post(rn Reg, imm int64) Mem { return Mem{base: rn, imm: imm, mode: memPost} }

// Idx is [rn, rm, lsl #shift], with rm an X register and shift zero or the
// logarithm of the access size.
func Idx(rn, rm Reg, shift int) Mem { return IdxExt(rn, rm, UXTX, shift) }

// IdxExt is [rn, rm, ext #shift], with ext one of UXTW, UXTX (written lsl),
// SXTW and SXTX.
func IdxExt(rn, rm Reg, ext Ext, shift int) Mem {
	return Mem{base: rn, index: rm, ext: ext, shift: shift, mode: memIndex}
}

func (m Mem) String() string {
	switch m.mode {
	case memPre:
		return fmt.Sprintf("[%v, #%d]!", m.base, m.imm)
	case memPost:
		return fmt.Sprintf("[%v], #%d", m.base, m.imm)
	case memIndex:
		if m.ext == UXTX {
			return fmt.Sprintf("[%v, %v, lsl #%d]", m.base, m.index, m.shift)
		}
		return fmt.Sprintf("[%v, %v, %v #%d]", m.base, m.index, m.ext, m.shift)
	}
	return fmt.Sprintf("[%v, #%d]", m.base, m.imm)
}
