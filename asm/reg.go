package asm

import "fmt"

// Reg is a general-purpose register together with its width. Bits 4:0 are the
// number in the encoding; the flags above keep apart what the encoding does
// not. The zero value is W0.
type Reg uint8

const (
	regNum  Reg = 0x1f
	reg64   Reg = 0x20
	regSP   Reg = 0x40
	regNone Reg = 0x80 // X(n) or W(n) with n out of range
)

const (
	W0 Reg = iota
	W1
	W2
	W3
	W4
	W5
	W6
	W7
	W8
	W9
	W10
	W11
	W12
	W13
	W14
	W15
	W16
	W17
	W18
	W19
	W20
	W21
	W22
	W23
	W24
	W25
	W26
	W27
	W28
	W29
	W30
	WZR
)

const (
	X0 Reg = reg64 + iota
	X1
	X2
	X3
	X4
	X5
	X6
	X7
	X8
	X9
	X10
	X11
	X12
	X13
	X14
	X15
	X16
	X17
	X18
	X19
	X20
	X21
	X22
	X23
	X24
	X25
	X26
	X27
	X28
	X29
	X30
	XZR
)

const (
	SP  = regSP | reg64 | 31
	WSP = regSP | 31
	FP  = X29
	LR  = X30
)

// X returns the 64-bit register number n, 0 to 30. Another n gives a register
// that every operand refuses.
func X(n int) Reg {
	if n < 0 || n > 30 {
		return regNone
	}
	return X0 + Reg(n)
}

// W returns the 32-bit register number n, 0 to 30, as [X] does.
func W(n int) Reg {
	if n < 0 || n > 30 {
		return regNone
	}
	return W0 + Reg(n)
}

// Is64 reports whether r is an X register, XZR or SP.
func (r Reg) Is64() bool { return r&reg64 != 0 }

// Num returns the number that encodes r; SP and the zero register are 31.
func (r Reg) Num() uint32 { return uint32(r & regNum) }

func (r Reg) isSP() bool { return r&regSP != 0 }

func (r Reg) isZR() bool { return r&regNum == 31 && !r.isSP() }

func (r Reg) valid() bool {
	return r&regNone == 0 && (!r.isSP() || r&regNum == 31)
}

func (r Reg) String() string {
	switch {
	case !r.valid():
		return fmt.Sprintf("Reg(%#x)", uint8(r))
	case r == SP:
		return "sp"
	case r == WSP:
		return "wsp"
	case r == XZR:
		return "xzr"
	case r == WZR:
		return "wzr"
	case r.Is64():
		return fmt.Sprintf("x%d", r.Num())
	}
	return fmt.Sprintf("w%d", r.Num())
}
