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
