package asm

import "fmt"

// Inst is one instruction or data item: its bits, what of a label it still
// needs, or the error that kept it from being encoded. Constructors make it,
// [Builder.Emit] takes it. The zero value is udf #0.
type Inst struct {
	bits  uint64
	op    string // mnemonic, for errors at link time
	kind  instKind
	fix   fixup
	label Label
	err   error
}

type instKind uint8

const (
	kindCode instKind = iota
	kindWord
	kindQuad
)

func (i Inst) size() int {
	if i.kind == kindQuad {
		return 8
	}
	return 4
}

// Err returns why the instruction could not be encoded.
func (i Inst) Err() error { return i.err }

// Word returns the encoded word. It is an error if the operands could not be
// encoded, if a label has to be resolved first, or if the item is a quad.
func (i Inst) Word() (uint32, error) {
	switch {
	case i.err != nil:
		return 0, i.err
	case i.fix != fixNone:
		return 0, fmt.Errorf("%s: needs the address of %v, which Assemble resolves: %w", i.op, i.label, ErrLabel)
	case i.kind == kindQuad:
		return 0, fmt.Errorf("%s: is 8 bytes, not a word: %w", i.op, ErrImmediate)
	}
	return uint32(i.bits), nil
}

// Word32 is a 32-bit data word.
func Word32(w uint32) Inst { return Inst{op: ".word", bits: uint64(w), kind: kindWord} }

// Quad is a 64-bit data word, low half first.
func Quad(v uint64) Inst { return Inst{op: ".quad", bits: v, kind: kindQuad} }

// QuadAddr is a 64-bit data word that holds the address of l.
func QuadAddr(l Label) Inst { return Inst{op: ".quad", kind: kindQuad, fix: fixAbs64, label: l} }

// encoding collects the fields of one instruction. Like the Builder it keeps
// the first error and goes on.
type encoding struct {
	op   string
	word uint32
	err  error
}

func enc(op string, word uint32) *encoding { return &encoding{op: op, word: word} }

func (e *encoding) inst() Inst {
	if e.err != nil {
		return Inst{op: e.op, err: e.err}
	}
	return Inst{op: e.op, bits: uint64(e.word)}
}

func (e *encoding) link(f fixup, l Label) Inst {
	i := e.inst()
	i.fix, i.label = f, l
	return i
}

func (e *encoding) fail(category error, format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("%s: %s: %w", e.op, fmt.Sprintf(format, args...), category)
	}
}

// or sets bits that the caller has already checked.
func (e *encoding) or(bits uint32) *encoding {
	e.word |= bits
	return e
}

// sf sets bit 31 for 64-bit registers and refuses a mix of widths.
func (e *encoding) sf(regs ...Reg) *encoding {
	for _, r := range regs {
		e.exists(r)
		if r.Is64() != regs[0].Is64() {
			e.fail(ErrRegister, "%v and %v differ in width", regs[0], r)
		}
	}
	if regs[0].Is64() {
		e.word |= 1 << 31
	}
	return e
}

// need refuses registers of the wrong width for operands whose width the
// mnemonic fixes.
func (e *encoding) need(is64 bool, regs ...Reg) *encoding {
	for _, r := range regs {
		e.exists(r)
		if r.Is64() != is64 {
			e.fail(ErrRegister, "%v has to be a %d-bit register", r, bitsOf(is64))
		}
	}
	return e
}

func (e *encoding) exists(r Reg) {
	if !r.valid() {
		e.fail(ErrRegister, "%v does not exist", r)
	}
}

// gp places a register where number 31 means the zero register.
func (e *encoding) gp(r Reg, at uint) *encoding {
	if e.exists(r); r.isSP() {
		e.fail(ErrRegister, "%v where number 31 is the zero register", r)
	}
	e.word |= r.Num() << at
	return e
}

// sp places a register where number 31 means the stack pointer.
func (e *encoding) sp(r Reg, at uint) *encoding {
	if e.exists(r); r.isZR() {
		e.fail(ErrRegister, "%v where number 31 is the stack pointer", r)
	}
	e.word |= r.Num() << at
	return e
}

// base places the base register of an address: an X register or SP.
func (e *encoding) base(r Reg) *encoding { return e.need(true, r).sp(r, 5) }

// imm places an unsigned field of the given number of bits.
func (e *encoding) imm(what string, v int, bits, at uint) *encoding {
	if v < 0 || v >= 1<<bits {
		e.fail(ErrImmediate, "%s %d is not in [0, %d]", what, v, 1<<bits-1)
		return e
	}
	e.word |= uint32(v) << at
	return e
}

// within checks lo <= v <= hi without placing anything.
func (e *encoding) within(what string, v, lo, hi int) bool {
	if v < lo || v > hi {
		e.fail(ErrImmediate, "%s %d is not in [%d, %d]", what, v, lo, hi)
		return false
	}
	return true
}

func (e *encoding) cond(c Cond, at uint) *encoding {
	if c > NV {
		e.fail(ErrImmediate, "%v is not a condition", c)
	}
	e.word |= uint32(c&15) << at
	return e
}

func bitsOf(is64 bool) int {
	if is64 {
		return 64
	}
	return 32
}
