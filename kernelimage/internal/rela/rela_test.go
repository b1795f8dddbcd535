package rela_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/rela"
)

const (
	align    = 2 << 20
	link     = 0xffff_8000_8000_0000
	tableOff = 0x1000
	relative = uint64(elf.R_AARCH64_RELATIVE)
)

type entry [3]uint64 // offset, info, addend

// image is zeros with a table; it relocates words from 0x100 on, each to be
// the address of its own place.
func image(n int, between ...entry) []byte {
	b := make([]byte, tableOff)
	for i := range uint64(n) {
		if i == 5 {
			for _, e := range between {
				b = appendEntry(b, e)
			}
		}
		b = appendEntry(b, entry{link + 0x100 + 8*i, relative, link + 0x100 + 8*i})
	}
	return append(b, make([]byte, 0x100)...)
}

func appendEntry(b []byte, e entry) []byte {
	for _, w := range e {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func TestFind_TheLongestRunAndWhatALinkerLeavesBetween(t *testing.T) {
	for name, between := range map[string][]entry{
		"nothing":  nil,
		"none":     {{}, {}},
		"absolute": {{link + 8, 5<<32 | uint64(elf.R_AARCH64_ABS64), 1}},
		"wild":     {{7, relative, 1}}, // part of the table, and an error later
	} {
		b := image(20, between...)
		table := rela.Find(b)
		want := 20
		if name == "wild" {
			want++
		}
		assert.Equal(t, want, table.Len(), name)
		assert.Equal(t, tableOff, table.Offset(), name)
		addr, value := table.Entry(table.Len() - 1)
		assert.Equal(t, []uint64{link + 0x100 + 8*19, link + 0x100 + 8*19}, []uint64{addr, value}, name)
	}
	// A short run elsewhere is none.
	short := appendEntry(nil, entry{link, relative, link})
	assert.Equal(t, 20, rela.Find(append(short, image(20)...)).Len())
	assert.Zero(t, rela.Find(make([]byte, 64)).Len())
	assert.Zero(t, rela.Find(nil).Offset())
}

func TestLinks_AreThoseAtWhichEveryWordIsZeroOrHoldsItsValue(t *testing.T) {
	b := image(20)
	assert.Equal(t, []uint64{link}, rela.Find(b).Links(0, align))
	assert.Empty(t, rela.Find(b).Links(0x1000, align), "other words would be relocated, of which one is not zero")
	assert.True(t, rela.Find(b).Fits(link))
	assert.False(t, rela.Find(b).Fits(link+align))

	binary.LittleEndian.PutUint64(b[0x100:], link+0x100)
	assert.True(t, rela.Find(b).Fits(link), "applied")
	binary.LittleEndian.PutUint64(b[0x100:], 1)
	assert.Empty(t, rela.Find(b).Links(0, align))
	assert.Empty(t, rela.Find(image(20, entry{7, relative, 1})).Links(0, align), "they reach further than the file")
}

// In zeros each multiple of the alignment fits.
func TestLinks_AreFew(t *testing.T) {
	const page = 0x1000
	assert.Len(t, rela.Find(append(image(20), make([]byte, 4*page)...)).Links(0, page), 5)
	assert.Len(t, rela.Find(append(image(20), make([]byte, 64*page)...)).Links(0, page), 16)
}

func TestApply_FillsTheWords(t *testing.T) {
	b := image(20)
	binary.LittleEndian.PutUint64(b[0x108:], link+0x108)
	table := rela.Find(b)
	var changed []uint64
	assert.Equal(t, 1, table.Apply(link, func(off uint64) { changed = append(changed, off) }))
	assert.Len(t, changed, 19)
	for i := range uint64(20) {
		assert.Equal(t, link+0x100+8*i, binary.LittleEndian.Uint64(b[0x100+8*i:]))
	}
	assert.Equal(t, 20, table.Apply(link, nil), "again")

	value, ok := table.Value(link + 0x110)
	assert.True(t, ok)
	assert.EqualValues(t, uint64(link+0x110), value)
	_, ok = table.Value(link)
	assert.False(t, ok)
	assert.True(t, table.Fill(0x108, 3, 0, align))
	assert.False(t, table.Fill(0x190, 3, 0, align), "the last has none")
}

func FuzzFind(f *testing.F) {
	f.Add(uint16(tableOff), []byte{1, 2, 3})
	f.Add(uint16(tableOff+8), make([]byte, 24))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		b := image(20)
		copy(b[int(at)%len(b):], patch)
		table := rela.Find(b)
		for _, l := range table.Links(0, align) {
			table.Apply(l, func(off uint64) { require.LessOrEqual(t, off, uint64(len(b)-8)) })
		}
		table.Value(link)
		table.Fill(0, 1, 0, align)
		require.LessOrEqual(t, table.Len(), len(bytes.TrimRight(b, "\x00"))/24+1)
	})
}
