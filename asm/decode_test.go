package asm

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDecodeAdr_IsTheInverseOfAdrAndAdrp(t *testing.T) {
	const pc = 0xffff800080001234
	for _, d := range distances(AdrReach, 1) {
		rd, addr, page, ok := DecodeAdr(pc, linked(t, pc, pc+uint64(d), func(l Label) Inst { return Adr(X7, l) }))
		assert.True(t, ok && !page)
		assert.Equal(t, X7, rd)
		assert.Equal(t, pc+uint64(d), addr)
	}
	for _, d := range distances(AdrpReach, 4096) {
		to := pc&^0xfff + uint64(d)
		rd, addr, page, ok := DecodeAdr(pc, linked(t, pc, to+0x678, func(l Label) Inst { return Adrp(XZR, l) }))
		assert.True(t, ok && page)
		assert.Equal(t, XZR, rd)
		assert.Equal(t, to, addr)
	}
}

func TestDecodeAddImm_IsTheInverseOfAddImm(t *testing.T) {
	for _, c := range []struct {
		rd, rn Reg
		imm    uint64
	}{{X0, X1, 0}, {SP, X3, 4095}, {X30, SP, 4096}, {X9, X9, 0xfff000}} {
		rd, rn, imm, ok := DecodeAddImm(word(t, AddImm(c.rd, c.rn, c.imm)))
		assert.True(t, ok)
		assert.Equal(t, c.rd, rd)
		assert.Equal(t, c.rn, rn)
		assert.Equal(t, c.imm, imm)
	}
}

func TestDecode_RefusesOtherWords(t *testing.T) {
	for name, i := range map[string]Inst{
		"sub": SubImm(X0, X1, 1), "adds": AddsImm(X0, X1, 1), "add of 32 bits": AddImm(W0, W1, 1),
		"add of a register": Add(X0, X1, X2), "nop": Nop(),
	} {
		_, _, _, add := DecodeAddImm(word(t, i))
		_, _, _, adr := DecodeAdr(0, word(t, i))
		assert.False(t, add || adr, name)
	}
}

func TestDecodeBranchCond_IsTheInverseOfEachForm(t *testing.T) {
	const pc = 0xffff800080001234
	for name, f := range map[string]func(Label) Inst{
		"b.eq": func(l Label) Inst { return BCond(EQ, l) },
		"cbz":  func(l Label) Inst { return Cbz(X3, l) },
		"cbnz": func(l Label) Inst { return Cbnz(W3, l) },
		"tbz":  func(l Label) Inst { return Tbz(X3, 63, l) },
		"tbnz": func(l Label) Inst { return Tbnz(X3, 1, l) },
	} {
		for _, d := range []int64{-32768, -4, 0, 4, 32764} {
			to, ok := DecodeBranchCond(pc, linked(t, pc, pc+uint64(d), f))
			assert.True(t, ok, name)
			assert.Equal(t, pc+uint64(d), to, "%s %d", name, d)
		}
		_, ok := DecodeBranchCond(pc, linked(t, pc, pc, B))
		assert.False(t, ok)
	}
}

func TestDecodeMovz_AndMovAndCmpAreInverses(t *testing.T) {
	rd, v, ok := DecodeMovz(word(t, Movz(W7, 0xabcd, 16)))
	assert.True(t, ok)
	assert.Equal(t, X7, rd)
	assert.EqualValues(t, 0xabcd0000, v)
	_, v, ok = DecodeMovz(word(t, Movz(X7, 0xabcd, 48)))
	assert.True(t, ok)
	assert.Equal(t, uint64(0xabcd)<<48, v)
	_, _, ok = DecodeMovz(word(t, Movk(X7, 1, 0)))
	assert.False(t, ok)

	rd, rm, ok := DecodeMov(word(t, Mov(X4, X21)))
	assert.True(t, ok)
	assert.Equal(t, []Reg{X4, X21}, []Reg{rd, rm})
	_, _, ok = DecodeMov(word(t, Mov(W4, W21)))
	assert.False(t, ok)

	rt, ok := DecodeReadCounter(word(t, Mrs(X15, CNTVCT_EL0)))
	assert.True(t, ok)
	assert.EqualValues(t, 15, rt)
	_, ok = DecodeReadCounter(word(t, Mrs(X15, SP_EL0)))
	assert.False(t, ok)

	rn, rm, ok := DecodeCmp(word(t, Subs(XZR, X0, X21)))
	assert.True(t, ok)
	assert.Equal(t, []Reg{X0, X21}, []Reg{rn, rm})
	_, _, ok = DecodeCmp(word(t, Subs(X1, X0, X21)))
	assert.False(t, ok)
}
