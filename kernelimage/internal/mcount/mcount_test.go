package mcount_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/kernelimage/internal/mcount"
)

const (
	base  = 0xffff_8000_8000_0000
	text  = 0x100 // functions of two NOPs and two other words
	funcs = 16
	data  = 0x400
)

func inText(addr uint64) bool { return addr >= base+text && addr < base+text+16*funcs }

// image has a list of its functions at an offset, after the words given.
func image(at int, before ...uint64) (b []byte, list []byte) {
	b = make([]byte, data)
	for i := range funcs {
		binary.LittleEndian.PutUint32(b[text+16*i:], asm.NOP)
		binary.LittleEndian.PutUint32(b[text+16*i+4:], asm.NOP)
	}
	b = append(b, make([]byte, at)...)
	for _, w := range before {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	for i := range uint64(funcs) {
		list = binary.LittleEndian.AppendUint64(list, base+text+16*i)
	}
	return append(append(b, list...), make([]byte, 16)...), list
}

func TestFind_TheLongestRunOfPointersToTwoNOPs(t *testing.T) {
	b, list := image(0)
	assert.Equal(t, list, mcount.Find(b, base, inText))
	b, list = image(64, base+text, base+data, base+text+8) // a function, data, the middle of one
	assert.Equal(t, list, mcount.Find(b, base, inText))

	assert.Nil(t, mcount.Find(b, base+0x1000, inText), "linked elsewhere")
	assert.Nil(t, mcount.Find(b, base, func(uint64) bool { return false }), "no text")
	assert.Nil(t, mcount.Find(nil, base, inText))
}

func TestFind_APointerNextToTheListIsNoPartOfIt(t *testing.T) {
	b, list := image(8, base+text+16*3, base+text+16*5)
	assert.Equal(t, list, mcount.Find(b, base, inText), "before it")
	binary.LittleEndian.PutUint64(b[len(b)-16:], base+text+16*7)
	assert.Equal(t, list, mcount.Find(b, base, inText), "after it")
}

// FuzzFind: each word of what is found points at two NOPs in the text.
func FuzzFind(f *testing.F) {
	f.Add(uint16(data), []byte{1, 2, 3})
	f.Add(uint16(text), make([]byte, 8))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		b, _ := image(32, base+text)
		copy(b[int(at)%len(b):], patch)
		list := mcount.Find(b, base, inText)
		require.Zero(t, len(list)%8)
		for ; len(list) > 0; list = list[8:] {
			addr := binary.LittleEndian.Uint64(list)
			require.True(t, inText(addr))
			require.True(t, asm.IsNop(binary.LittleEndian.Uint32(b[addr-base:])))
		}
	})
}
