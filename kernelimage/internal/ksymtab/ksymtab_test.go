package ksymtab_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/ksymtab"
)

const (
	base    = 0xffff_8000_8100_0000
	names   = 0x100
	list    = 0x2004 // aligned to 4 bytes only
	entries = 70
)

// memory is read-only data at base.
type memory []byte

func (m memory) Contains(addr uint64) bool { return addr >= base && addr < base+uint64(len(m)) }

func (m memory) Tail(addr uint64) []byte {
	if !m.Contains(addr) {
		return nil
	}
	return m[addr-base:]
}

// data has a list of symbol_0, symbol_1 and so on, at base+index, of which the
// fourth is of a namespace.
func data() memory {
	b := make(memory, 0x4000)
	at := names
	text := func(s string) int {
		start := at
		at += copy(b[at:], s) + 1
		return start
	}
	for i := range entries {
		space := ""
		if i == 3 {
			space = "CXL"
		}
		for j, target := range []int{i, text(fmt.Sprintf("symbol_%d", i)), text(space)} {
			from := list + ksymtab.Size*i + 4*j
			binary.LittleEndian.PutUint32(b[from:], uint32(target-from))
		}
	}
	return b
}

func TestFind_TheLongestRunOfEntriesThatHaveAName(t *testing.T) {
	b := data()
	start, end := ksymtab.Find(b, b, base)
	assert.Equal(t, uint64(base+list), start)
	assert.Equal(t, uint64(base+list+entries*ksymtab.Size), end)
	at := start + 3*ksymtab.Size
	e := ksymtab.Decode(b.Tail(at), at)
	assert.EqualValues(t, uint64(base+3), e.Addr)
	name, ok := ksymtab.Text(b.Tail(e.Name))
	assert.True(t, ok)
	assert.Equal(t, "symbol_3", string(name))
	space, ok := ksymtab.Text(b.Tail(e.Space))
	assert.True(t, ok)
	assert.Equal(t, "CXL", string(space))
}

func TestFind_WhatIsNoEntryEndsTheRun(t *testing.T) {
	const middle = list + 30*ksymtab.Size // half of it is too short to be a list
	put := func(off int, v int32) func(b []byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[middle+off:], uint32(v)) }
	}
	// The middle entry takes the first one's name, in which a letter is changed.
	name := func(letter int, c byte) func(b []byte) {
		return func(b []byte) {
			put(4, names-(middle+4))(b)
			b[names+letter] = c
		}
	}
	for what, edit := range map[string]func(b []byte){
		"zeros":            func(b []byte) { clear(b[middle:][:ksymtab.Size]) },
		"symbol outside":   put(0, 1<<30),
		"name outside":     put(4, 1<<30),
		"space outside":    put(8, 1<<30),
		"name of a letter": name(1, 0),
		"no identifier":    name(0, '7'),
		"not printable":    name(3, 0x1b),
	} {
		b := data()
		edit(b)
		start, end := ksymtab.Find(b, b, base)
		assert.Zero(t, start, what)
		assert.Zero(t, end, what)
	}
}

// FuzzFind: any read-only data gives entries that lie in it.
func FuzzFind(f *testing.F) {
	f.Add(uint16(list), []byte{1, 2, 3})
	f.Add(uint16(names), []byte("symbol"))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		b := data()
		copy(b[int(at)%len(b):], patch)
		start, end := ksymtab.Find(b, b, base)
		for ; start < end; start += ksymtab.Size {
			require.True(t, b.Contains(ksymtab.Decode(b.Tail(start), start).Addr))
		}
	})
}
