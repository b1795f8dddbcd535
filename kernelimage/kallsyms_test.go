package kernelimage

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestFindKallsyms_TellsTheLayout(t *testing.T) {
	for want, spec := range map[string]rawSpec{
		"base-relative, seqs_of_names, addresses last":                    {},
		"base-relative, addresses last":                                   {noSeqs: true},
		"base-relative, seqs_of_names, addresses first":                   {table: layout63},
		"base-relative, addresses first":                                  {table: layout61},
		"base-relative, absolute per-CPU, seqs_of_names, addresses first": {table: layout63, form: formPerCPU},
		"absolute, addresses first":                                       {table: layout61, form: formAbsolute},
	} {
		b := buildRaw(t, spec).b
		k, err := findKallsyms(b, findRela(b))
		require.NoError(t, err)
		assert.Equal(t, want, k.describe())
	}
}

func TestFindKallsyms_NamesOfTwoBytesOfLength(t *testing.T) {
	// A length of 0x80 and more takes two bytes, since 6.1.
	k := &kallsyms{n: 1, names: 8, markers: 0x200}
	k.b = make([]byte, 0x400)
	k.b[8], k.b[9] = 0x80|0x10, 0x01 // 0x90
	for i := range 0x90 {
		k.b[10+i] = byte('a' + i%26)
	}
	size := 0
	end, ok := k.walk(func(_ int, tokens []byte) { size = len(tokens) })
	assert.True(t, ok)
	assert.Equal(t, 0x90, size)
	assert.Equal(t, 8+2+0x90, end)
}

func TestFindKallsyms_OfTwoTablesNoneIsTaken(t *testing.T) {
	b := buildRaw(t, rawSpec{}).b
	_, err := findKallsyms(append(bytes.Clone(b), b...), relaTable{})
	assert.ErrorIs(t, err, unix.ENOEXEC)
	assert.ErrorContains(t, err, "two symbol tables")
}

func TestFindKallsyms_RefusesTablesThatDoNotHoldTogether(t *testing.T) {
	clean := buildRaw(t, rawSpec{}).b
	good, err := findKallsyms(clean, relaTable{})
	require.NoError(t, err)
	le := binary.LittleEndian
	for name, edit := range map[string]func(b []byte){
		"number":      func(b []byte) { le.PutUint32(b[good.names-8:], 1<<30) },
		"marker":      func(b []byte) { le.PutUint32(b[good.markers+4:], 5) },
		"name_length": func(b []byte) { b[good.names] = 0 },
		"name_long":   func(b []byte) { b[good.names], b[good.names+1] = 0xff, 0xff },
		"token_index": func(b []byte) { le.PutUint16(b[good.tokenIndex+20:], 0xffff) },
		"token_table": func(b []byte) { b[good.tokenTable+int(le.Uint16(b[good.tokenIndex+20:]))-1] = 'x' },
		"addresses":   func(b []byte) { le.PutUint32(b[good.addresses+8:], 0xffff_ffff) },
	} {
		b := bytes.Clone(clean)
		edit(b)
		_, err := findKallsyms(b, relaTable{})
		assert.ErrorIs(t, err, unix.ENOEXEC, name)
	}
}

// FuzzKallsyms: tables that point anywhere are refused, and nothing is read
// from outside the file. The fuzzer's bytes stand in the place of part of a good
// table, so that they come that far.
func FuzzKallsyms(f *testing.F) {
	var images [][]byte
	for _, spec := range []rawSpec{{}, {table: layout63}, {table: layout61}, {table: layout61, form: formAbsolute}} {
		images = append(images, buildRaw(f, spec).b)
	}
	f.Add(uint8(0), uint32(fixtureRodata), []byte{1, 2, 3})
	f.Add(uint8(3), uint32(fixtureInit-0x400), make([]byte, 64))
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		b := bytes.Clone(images[int(which)%len(images)])
		copy(b[int(at)%len(b):], patch)
		k, err := findKallsyms(b, findRela(b))
		if err != nil {
			require.Nil(t, k)
			return
		}
		syms, err := k.symbols(func(off int) uint64 { return u64At(b, off) })
		if err == nil {
			require.Len(t, syms, k.n)
		}
		k.find("_text")
	})
}
