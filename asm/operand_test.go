package asm

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReg_NamesAndNumbers(t *testing.T) {
	for _, c := range []struct {
		r    Reg
		name string
		num  uint32
		is64 bool
	}{
		{X0, "x0", 0, true}, {X30, "x30", 30, true}, {LR, "x30", 30, true}, {FP, "x29", 29, true},
		{XZR, "xzr", 31, true}, {SP, "sp", 31, true}, {W0, "w0", 0, false}, {W30, "w30", 30, false},
		{WZR, "wzr", 31, false}, {WSP, "wsp", 31, false}, {X(17), "x17", 17, true}, {W(17), "w17", 17, false},
		{X(31), "Reg(0x80)", 0, false},
	} {
		assert.Equal(t, c.name, c.r.String())
		assert.Equal(t, c.num, c.r.Num(), c.name)
		assert.Equal(t, c.is64, c.r.Is64(), c.name)
	}
}

func TestCond_InvertsInPairs(t *testing.T) {
	for _, p := range [][2]Cond{{EQ, NE}, {HS, LO}, {CS, CC}, {MI, PL}, {VS, VC}, {HI, LS}, {GE, LT}, {GT, LE}} {
		assert.Equal(t, p[1], p[0].Invert())
		assert.Equal(t, p[0], p[1].Invert())
	}
	assert.Equal(t, "Cond(16)", Cond(16).String())
}

func TestMem_ReadsAsItIsWritten(t *testing.T) {
	for want, m := range map[string]Mem{
		"[x1, #0]": Base(X1), "[sp, #-8]": Off(SP, -8), "[sp, #-16]!": Pre(SP, -16), "[sp], #16": Post(SP, 16),
		"[x1, x2, lsl #3]": Idx(X1, X2, 3), "[x1, w2, sxtw #3]": IdxExt(X1, W2, SXTW, 3),
	} {
		assert.Equal(t, want, m.String())
	}
}

func TestSysReg_NamesMatchTheConstants(t *testing.T) {
	for want, r := range map[string]SysReg{
		"sp_el0": SP_EL0, "tpidr_el1": TPIDR_EL1, "tpidr_el0": TPIDR_EL0, "cntvct_el0": CNTVCT_EL0,
		"ctr_el0": CTR_EL0, "dczid_el0": DCZID_EL0, "midr_el1": MIDR_EL1, "mpidr_el1": MPIDR_EL1,
		"currentel": CurrentEL, "daif": DAIF, "nzcv": NZCV, "s3_7_c15_c15_7": 0xffff,
	} {
		assert.Equal(t, want, r.String())
	}
}
