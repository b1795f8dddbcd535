package interp

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/emu/isa"
)

// What package isa says of a word, and what the reference does with it.
func TestExec_RefusesWhatIsaDoes(t *testing.T) {
	c := newTestCPU(t).CPU
	r := rand.New(rand.NewPCG(1, 2))
	check := func(w uint32) {
		got := executed(c, w)
		switch isa.Classify(w) {
		case isa.Unsupported:
			assert.Equal(t, stopUnsupported, got, "%#08x", w)
		case isa.Undefined:
			assert.Equal(t, stopUndefined, got, "%#08x", w)
		default:
			assert.NotEqual(t, stopUnsupported, got, "%#08x", w)
		}
	}
	for range 200_000 {
		check(r.Uint32())
	}
	for range 200_000 { // branches, exceptions, system
		check(r.Uint32()&^0x1c000000 | 0x14000000)
	}
	for reg := range uint32(1 << 17) {
		check(0xd5000000 | reg<<5)
		check(0xd5000000 | reg<<5 | 31)
	}
	assert.Len(t, storedRegs, numStored)
}
