package percpu_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/percpu"
)

const (
	text = 0xffff_8000_8000_0000
	data = text + 0x10_0000
	page = 0x1000
)

var section = percpu.Section{Vars: []uint32{0, 0x48, 0x1010, 0x1ff8}, Size: 0x2000}

// code makes the given addresses, each n times.
func code(n int, addrs ...uint64) (b []byte) {
	for range n {
		for _, addr := range addrs {
			pages := uint32(addr>>12 - (text+uint64(len(b)))>>12)
			b = binary.LittleEndian.AppendUint32(b, 0x90000000|pages&3<<29|pages>>2&0x7ffff<<5) // adrp x0
			b = binary.LittleEndian.AppendUint32(b, 0xd503201f)
			b = binary.LittleEndian.AppendUint32(b, 0x91000000|uint32(addr&0xfff)<<10) // add x0, x0, #lo12
		}
	}
	return b
}

func find(b []byte) (uint64, bool) {
	const low, high = data, data + 0x1_0000
	used := make(map[uint64]int)
	percpu.Addresses(b, text, low, high, used)
	return percpu.Find(section, low, high, page, used)
}

// variables are the section's, linked at start.
func variables(start uint64) (addrs []uint64) {
	for _, v := range section.Vars {
		addrs = append(addrs, start+uint64(v))
	}
	return addrs
}

func TestFind_WhereMostAddressesAreVariables(t *testing.T) {
	for _, start := range []uint64{data, data + 3*page, data + 0x1_0000 - 2*page} {
		b := append(code(8, variables(start)...), code(2, data+0x123, data+0x5048, 0xffff_8000_9000_0000)...)
		got, ok := find(b)
		require.True(t, ok)
		assert.Equal(t, start, got)
	}
}

func TestFind_WhereTheCodeDoesNotTell(t *testing.T) {
	for name, b := range map[string][]byte{
		"no code":     nil,
		"few":         code(1, variables(data)...),
		"two of them": append(code(8, variables(data)...), code(8, variables(data+4*page)...)...),
		"elsewhere":   code(8, variables(data+0x10_0000)...),
	} {
		_, ok := find(b)
		assert.False(t, ok, name)
	}
	_, ok := percpu.Find(percpu.Section{Size: 0x2000}, data, data+0x1_0000, page, nil)
	assert.False(t, ok, "no variables")
	_, ok = percpu.Find(percpu.Section{Vars: section.Vars, Size: 1 << 40}, data, data+0x1_0000, page, nil)
	assert.False(t, ok, "a size that nothing has")
}

// FuzzFind: whatever the code is, what is found lies within bounds, at a page.
func FuzzFind(f *testing.F) {
	f.Add(code(8, variables(data+page)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if start, ok := find(b); ok {
			require.True(t, start >= data && start+section.Size <= data+0x1_0000)
			require.Zero(t, start%page)
		}
	})
}
