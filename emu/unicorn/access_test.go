//go:build cgo

package unicorn

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

// The words are GNU as's; x0 is 0x1000, x2 8, w3 -1, x4 2, x5 0x1234, sp
// 0x2000 and pc 0x4000.
func TestDataAccess_CoversEveryEncoding(t *testing.T) {
	r := emu.Regs{SP: 0x2000, PC: 0x4000}
	r.X[0], r.X[2], r.X[3], r.X[4], r.X[5] = 0x1000, 8, 0xffff_ffff, 2, 0x1234
	const load, store = emu.Load, emu.Store
	for _, c := range []struct {
		word uint32
		text string
		want access
	}{
		{0x58000001, "ldr x1, .", access{0x4000, 8, 1, load, false, false}},
		{0x18ffffe1, "ldr w1, .-4", access{0x3ffc, 4, 1, load, false, false}},
		{0x98ffffc1, "ldrsw x1, .-8", access{0x3ff8, 4, 1, load, false, false}},
		{0xa8410801, "ldnp x1, x2, [x0, #16]", access{0x1010, 8, 2, load, false, false}},
		{0x69c10801, "ldpsw x1, x2, [x0, #8]!", access{0x1008, 4, 2, load, false, false}},
		{0xf85f8801, "ldtr x1, [x0, #-8]", access{0xff8, 8, 1, load, false, true}},
		{0x38003801, "sttrb w1, [x0, #3]", access{0x1003, 1, 1, store, false, true}},
		{0xd9405001, "ldapur x1, [x0, #5]", access{0x1005, 8, 1, load, false, false}},
		{0x591fe001, "stlurh w1, [x0, #-2]", access{0xffe, 2, 1, store, false, false}},
		{0xf87fe401, "ldraa x1, [x0, #-16]", access{0xff0, 8, 1, load, false, false}},
		{0xf8a01c01, "ldrab x1, [x0, #8]!", access{0x1008, 8, 1, load, false, false}},
		{0xc87f0801, "ldxp x1, x2, [x0]", access{0x1000, 8, 2, load, true, false}},
		{0x88238801, "stlxp w3, w1, w2, [x0]", access{0x1000, 4, 2, store, true, false}},
		{0x48247c06, "casp x4, x5, x6, x7, [x0]", access{0x1000, 8, 2, store, true, false}},
		{0x0864fc06, "caspal w4, w5, w6, w7, [x0]", access{0x1000, 4, 2, store, true, false}},
		{0x08a17c02, "casb w1, w2, [x0]", access{0x1000, 1, 1, store, true, false}},
		{0x08dffc01, "ldarb w1, [x0]", access{0x1000, 1, 1, load, false, false}},
		{0xc89f7c01, "stllr x1, [x0]", access{0x1000, 8, 1, store, false, false}},
		{0x78214002, "ldsmaxh w1, w2, [x0]", access{0x1000, 2, 1, store, true, false}},
		{0x78bfc001, "ldaprh w1, [x0]", access{0x1000, 2, 1, load, false, false}},
		{0xf94007e1, "ldr x1, [sp, #8]", access{0x2008, 8, 1, load, false, false}},
		{0xf824581f, "str xzr, [x0, w4, uxtw #3]", access{0x1010, 8, 1, store, false, false}},
		{0x79c00c01, "ldrsh w1, [x0, #6]", access{0x1006, 2, 1, load, false, false}},
		{0xd50b7c25, "dc cvap, x5", access{0x1234, 1, 1, load, false, false}},
		{0xd50b7d25, "dc cvadp, x5", access{0x1234, 1, 1, load, false, false}},
		{0xd50b7425, "dc zva, x5", access{0x1200, 64, 1, store, false, false}},
	} {
		got, ok := dataAccess(c.word, &r)
		require.True(t, ok, c.text)
		assert.Equal(t, c.want, got, c.text)
	}
	for _, word := range []uint32{0x3dc00801, 0xbc63d801, 0x6c810801, 0x4c407000, 0x0d409000, 0x9cffffa1} {
		_, ok := dataAccess(word, &r)
		assert.False(t, ok, "SIMD: %#08x", word)
	}
	_, ok := dataAccess(0xd503201f, &r)
	assert.False(t, ok, "nop")
}
