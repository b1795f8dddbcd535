package interp

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

// run executes one instruction, by the reference or by the loop, with x1 as
// its base.
func (c *testCPU) try(t *testing.T, budget uint64, word uint32, x0, x1, x2, x3 uint64) (emu.Exit, error) {
	t.Helper()
	c.put(t, agreeText, word, 0xd503201f, 0xd503201f)
	*c.Regs() = emu.Regs{PC: agreeText, SP: agreeData + 256}
	copy(c.Regs().X[:], []uint64{x0, x1, x2, x3})
	return c.Run(context.Background(), budget)
}

func TestLoadsAndStores(t *testing.T) {
	c := newTestCPU(t)
	const at = agreeData + 0x100
	const word = 0x8899aabbccddeeff
	for _, r := range []struct {
		text   string
		word   uint32
		x1, x2 uint64
		x0     uint64 // afterwards
		x1To   uint64
	}{
		{"ldr x0, [x1]", 0xf9400020, at, 0, word, at},
		{"ldr w0, [x1]", 0xb9400020, at, 0, 0xccddeeff, at},
		{"ldrh w0, [x1]", 0x79400020, at, 0, 0xeeff, at},
		{"ldrb w0, [x1]", 0x39400020, at, 0, 0xff, at},
		{"ldrsw x0, [x1]", 0xb9800020, at, 0, 0xffffffffccddeeff, at},
		{"ldrsh x0, [x1]", 0x79800020, at, 0, 0xffffffffffffeeff, at},
		{"ldrsh w0, [x1]", 0x79c00020, at, 0, 0xffffeeff, at},
		{"ldrsb x0, [x1]", 0x39800020, at, 0, ^uint64(0), at},
		{"ldrsb w0, [x1]", 0x39c00020, at, 0, 0xffffffff, at},
		{"ldur x0, [x1, #-8]", 0xf85f8020, at + 8, 0, word, at + 8},
		{"ldr x0, [x1], #8", 0xf8408420, at, 0, word, at + 8},
		{"ldr x0, [x1, #-8]!", 0xf85f8c20, at + 8, 0, word, at},
		{"ldrh w0, [x1], #2", 0x78402420, at, 0, 0xeeff, at + 2},
		{"ldr x0, [x1, x2, lsl #3]", 0xf8627820, at - 24, 3, word, at - 24},
		{"ldr x0, [x1, w2, sxtw #3]", 0xf862d820, at + 8, 0xffffffff, word, at + 8},
		{"ldr x0, [x1, w2, uxtw]", 0xf8624820, at - 0xffff, 0xffff | 1<<40, word, at - 0xffff},
		{"ldr w0, [x1, x2, sxtx #2]", 0xb862f820, at + 4, ^uint64(0), 0xccddeeff, at + 4},
		{"ldar x0, [x1]", 0xc8dffc20, at, 0, word, at},
		{"ldapr w0, [x1]", 0xb8bfc020, at, 0, 0xccddeeff, at},
		{"ldapursw x0, [x1, #-4]", 0x999fc020, at + 4, 0, 0xffffffffccddeeff, at + 4},
		{"ldxr x0, [x1]", 0xc85f7c20, at, 0, word, at},
		{"ldp x0, x3, [x1]", 0xa9400c20, at, 0, word, at},
		{"ldpsw x0, x3, [x1], #8", 0x68c10c20, at, 0, 0xffffffffccddeeff, at + 8},
		{"ldnp w0, w3, [x1, #-4]", 0x287f8c20, at + 4, 0, 0xccddeeff, at + 4},
		{"ldraa x0, [x1, #-8]!", 0xf87ffc20, at + 8, 0, word, at},
		{"ldr x0, unaligned", 0xf9400020, at + 3, 0, 0x0000008899aabbcc&^0 | 0x332211<<40, at + 3},
		{"ldr x1, [x1], #8: the base wins", 0xf8408421, at, 0, 0, at + 8},
		{"ldp x0, x0, [x1]: the first wins", 0xa9400020, at, 0, word, at},
	} {
		t.Run(r.text, func(t *testing.T) {
			for _, budget := range []uint64{1, 3} {
				require.NoError(t, c.mem.Store64(at, word))
				require.NoError(t, c.mem.Store64(at+8, 0x332211))
				exit, err := c.try(t, budget, r.word, 0, r.x1, r.x2, 0)
				require.NoError(t, err)
				require.Equal(t, emu.ExitBudget, exit.Reason, exit)
				assert.Equal(t, r.x0, c.Regs().X[0])
				assert.Equal(t, r.x1To, c.Regs().X[1])
			}
		})
	}
}

func TestAtomics(t *testing.T) {
	c := newTestCPU(t)
	const at = agreeData + 0x100
	for _, r := range []struct {
		text     string
		word     uint32
		old, arg uint64 // memory and x2
		x0       uint64 // what was there
		memory   uint64
	}{
		{"ldadd x2, x0, [x1]", 0xf8220020, 5, ^uint64(0), 5, 4},
		{"ldaddal w2, w0, [x1]", 0xb8e20020, 1<<32 | 0xffffffff, 1, 0xffffffff, 1 << 32},
		{"ldclrh w2, w0, [x1]", 0x78221020, 0xfffff, 0xf0f0, 0xffff, 0xf0f0f},
		{"ldeorb w2, w0, [x1]", 0x38222020, 0x1ff, 0x0f, 0xff, 0x1f0},
		{"ldset x2, x0, [x1]", 0xf8223020, 1, 2, 1, 3},
		{"ldsmax w2, w0, [x1]", 0xb8224020, 0x80000000, 1, 0x80000000, 1},
		{"ldsminb w2, w0, [x1]", 0x38225020, 0x7f, 0x80, 0x7f, 0x80},
		{"ldumaxh w2, w0, [x1]", 0x78226020, 0x8000, 1, 0x8000, 0x8000},
		{"ldumin x2, x0, [x1]", 0xf8227020, ^uint64(0), 1, ^uint64(0), 1},
		{"swpb w2, w0, [x1]", 0x38228020, 0x1234, 0xab, 0x34, 0x12ab},
		{"swpal x2, x0, [x1]", 0xf8e28020, 7, 8, 7, 8},
	} {
		t.Run(r.text, func(t *testing.T) {
			require.NoError(t, c.mem.Store64(at, r.old))
			exit, err := c.try(t, 3, r.word, 0, at, r.arg, 0)
			require.NoError(t, err)
			require.Equal(t, emu.ExitBudget, exit.Reason, exit)
			assert.Equal(t, r.x0, c.Regs().X[0])
			have, err := c.mem.Load64(at)
			require.NoError(t, err)
			assert.Equal(t, r.memory, have)
		})
	}
}

func TestCompareAndSwap(t *testing.T) {
	c := newTestCPU(t)
	const at = agreeData + 0x100
	run := func(word uint32, x0, x1, x2, x3 uint64) {
		t.Helper()
		exit, err := c.try(t, 3, word, x0, x1, x2, x3)
		require.NoError(t, err)
		require.Equal(t, emu.ExitBudget, exit.Reason, exit)
	}
	memory := func(off uint64) uint64 {
		v, err := c.mem.Load64(at + off)
		require.NoError(t, err)
		return v
	}
	require.NoError(t, c.mem.Store64(at, 5))
	require.NoError(t, c.mem.Store64(at+8, 6))

	run(0xc8a07c22, 4, at, 9, 0) // cas x0, x2, [x1]
	assert.Equal(t, []uint64{5, 5}, []uint64{c.Regs().X[0], memory(0)})
	run(0xc8e0fc22, 5, at, 9, 0) // casal x0, x2, [x1]
	assert.Equal(t, []uint64{5, 9}, []uint64{c.Regs().X[0], memory(0)})
	run(0x08a07c22, 0x109, at, 0x1fe, 0) // casb: compares the low bytes
	assert.Equal(t, []uint64{9, 0xfe}, []uint64{c.Regs().X[0], memory(0)})

	// casp x0, x1, x2, x3, [sp]: SP is agreeData+256, which is at.
	run(0x48207fe2, 0xfe, 6, 1, 2)
	assert.Equal(t, []uint64{0xfe, 6, 1, 2}, []uint64{c.Regs().X[0], c.Regs().X[1], memory(0), memory(8)})
	run(0x48207fe2, 1, 1, 3, 4)
	assert.Equal(t, []uint64{1, 2, 1, 2}, []uint64{c.Regs().X[0], c.Regs().X[1], memory(0), memory(8)})
	run(0x08207fe2, 1, 0, 7, 8) // casp w0, w1, w2, w3, [sp]
	assert.Equal(t, []uint64{1, 0, 8<<32 | 7}, []uint64{c.Regs().X[0], c.Regs().X[1], memory(0)})
}

func TestExclusives(t *testing.T) {
	c := newTestCPU(t)
	const at = agreeData + 0x100
	const ldxr, stxr, clrex = 0xc85f7c20, 0xc8027c23, 0xd5033f5f // x0, [x1]; w2, x3, [x1]
	steps := func(words ...uint32) uint64 {
		c.put(t, agreeText, append(words, 0xd503201f)...)
		*c.Regs() = emu.Regs{PC: agreeText}
		c.Regs().X[1], c.Regs().X[2], c.Regs().X[3] = at, 99, 7
		exit, err := c.Run(context.Background(), uint64(len(words)))
		require.NoError(t, err)
		require.Equal(t, emu.ExitBudget, exit.Reason)
		return c.Regs().X[2]
	}
	assert.EqualValues(t, 0, steps(ldxr, stxr), "nothing in between")
	assert.EqualValues(t, 1, steps(stxr), "no load before")
	assert.EqualValues(t, 1, steps(ldxr, clrex, stxr), "cleared")
	assert.EqualValues(t, 1, steps(ldxr, 0xf9000021, stxr), "another value stored") // str x1, [x1]
	assert.EqualValues(t, 1, steps(ldxr, 0x91002021, stxr), "another address")      // add x1, x1, #8
	assert.EqualValues(t, 0, steps(0xc87f1020, 0xc8220c24), "pair")                 // ldxp x0, x4, [x1]; stxp w2, x4, x3, [x1]
}

func TestAlignment(t *testing.T) {
	c := newTestCPU(t)
	const at = agreeData + 0x104
	for text, r := range map[string]struct {
		word   uint32
		access emu.Access
	}{
		"ldxr x0, [x1]":                 {0xc85f7c20, emu.Load},
		"ldadd x2, x0, [x1]":            {0xf8220020, emu.Store},
		"cas x0, x2, [x1]":              {0xc8a07c22, emu.Store},
		"ldxp w0, w2, [x1]":             {0x887f0820, emu.Load},
		"casp x2, x3, x2, x3, [x1]":     {0x48227c22, emu.Store},
		"ldaxp x0, x2, [x1], 8 aligned": {0xc87f8820, emu.Load},
	} {
		exit, err := c.try(t, 3, r.word, 1, at, 2, 3)
		require.NoError(t, err)
		require.Equal(t, emu.ExitFault, exit.Reason, text)
		assert.Equal(t, emu.Misaligned, exit.Fault.Kind, text)
		assert.Equal(t, r.access, exit.Fault.Access, text)
	}
}

func TestZeroBlock(t *testing.T) {
	c := newTestCPU(t)
	for i := range c.data[:256] {
		c.data[i] = 0xff
	}
	_, err := c.try(t, 3, 0xd50b7421, 0, agreeData+100, 0, 0) // dc zva, x1
	require.NoError(t, err)
	for i, b := range c.data[:256] {
		assert.Equal(t, i < 64 || i >= 128, b == 0xff, i)
	}
}

// A store over the end of memory changes nothing, a pair of which the second is
// refused has done the first.
func TestFaults_ArePrecise(t *testing.T) {
	c := newTestCPU(t)
	const end = agreeData + agreeSize
	for _, budget := range []uint64{1, 3} {
		clear(c.data)
		exit, err := c.try(t, budget, 0xf8008c20, ^uint64(0), end-12, 0, 0) // str x0, [x1, #8]!
		require.NoError(t, err)
		assert.Equal(t, &emu.Fault{Addr: end, Size: 8, Access: emu.Store, Kind: emu.Unmapped, PC: agreeText}, exit.Fault)
		assert.Equal(t, uint64(end-12), c.Regs().X[1])
		assert.Equal(t, uint64(agreeText), c.Regs().PC)
		assert.Equal(t, make([]byte, 16), c.data[agreeSize-16:])

		exit, err = c.try(t, budget, 0xa9bf0c20, ^uint64(0), end+8, 0, 7) // stp x0, x3, [x1, #-16]!
		require.NoError(t, err)
		assert.Equal(t, &emu.Fault{Addr: end, Size: 8, Access: emu.Store, Kind: emu.Unmapped, PC: agreeText}, exit.Fault)
		assert.Equal(t, uint64(end+8), c.Regs().X[1])
		assert.EqualValues(t, 0xff, c.data[agreeSize-1])
	}
}

func TestUnsupported_IsTold(t *testing.T) {
	c := newTestCPU(t)
	for text, word := range map[string]uint32{
		"fmov d0, x0": 0x9e670000, "ldr q0, [x1]": 0x3dc00020, "eret": 0xd69f03e0, "msr spsel, #0": 0xd50040bf,
		"ldp d0, d1, [x1]": 0x6d400420, "sve": 0x2518e3e0, "mrs fpcr": 0xd53b4400, "ld1": 0x4c407020, "at s1e1r": 0xd5087801,
	} {
		exit, err := c.try(t, 3, word, 0, agreeData, 0, 0)
		var unsupported *emu.UnsupportedError
		require.ErrorAs(t, err, &unsupported, text)
		assert.True(t, errors.Is(err, errors.ErrUnsupported), text)
		assert.Equal(t, word, unsupported.Word, text)
		assert.Equal(t, uint64(agreeText), unsupported.PC, text)
		assert.Contains(t, err.Error(), unsupported.Text)
		assert.Equal(t, uint64(agreeText), exit.PC, text)
		assert.Equal(t, uint64(agreeText), c.Regs().PC, text)
	}
	assert.Zero(t, c.Count())
	for text, word := range map[string]uint32{"udf": 0, "all ones": ^uint32(0), "el2's": 0xd53c1100, "addg": 0x91800000} {
		exit, err := c.try(t, 3, word, 0, 0, 0, 0)
		require.NoError(t, err, text)
		assert.Equal(t, emu.Exit{Reason: emu.ExitUndefined, PC: agreeText, Word: word}, exit, text)
	}
}
