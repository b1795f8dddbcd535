package asm_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/asm"
)

func TestInvertBranch_IsTakenWhereTheOtherIsNot(t *testing.T) {
	for _, tt := range []struct {
		was, is string
		word    uint32
	}{
		{"b.eq 10", "b.ne 10", 0x54000080},
		{"b.le 10", "b.gt 10", 0x5400008d},
		{"cbz x3, 10", "cbnz x3, 10", 0xb4000083},
		{"cbnz w3, 10", "cbz w3, 10", 0x35000083},
		{"tbz w4, #1, 10", "tbnz w4, #1, 10", 0x36080084},
		{"tbnz x4, #33, 10", "tbz x4, #33, 10", 0xb7080084},
	} {
		w, ok := asm.InvertBranch(tt.word)
		assert.True(t, ok, tt.was)
		assert.Equal(t, tt.was, asm.Disassemble(tt.word, 0, nil))
		assert.Equal(t, tt.is, asm.Disassemble(w, 0, nil))
		back, _ := asm.InvertBranch(w)
		assert.Equal(t, tt.word, back, tt.was)
	}
	for name, w := range map[string]uint32{"b": 0x14000004, "bl": 0x94000004, "b.al": 0x5400008e, "nop": asm.NOP, "bc.eq": 0x54000090} {
		same, ok := asm.InvertBranch(w)
		assert.False(t, ok, name)
		assert.Equal(t, w, same, name)
	}
}
