package btfsection_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/btfsection"
)

// section is one of n types, all INT, with a header of the given size.
func section(n, header int) []byte {
	var types []byte
	for range n {
		for _, w := range []uint32{1, 1 << 24, 8, 64} {
			types = binary.LittleEndian.AppendUint32(types, w)
		}
	}
	const names = "\x00int\x00"
	b := []byte(btfsection.Magic)
	for _, w := range []int{header, 0, len(types), len(types), len(names)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(w))
	}
	b = append(b, make([]byte, header-len(b))...)
	return append(append(b, types...), names...)
}

func TestFind_TakesTheLargestThatIsWhole(t *testing.T) {
	bare := btfsection.Magic + "\x18\x00\x00\x00"
	for _, header := range []int{24, 28, 32, 64} {
		want := section(3, header)
		b := append([]byte("........"+bare+"and no more that makes sense......"), section(2, 24)...)
		b = append(b, want...)
		got, at := btfsection.Find(append(b, "after it"...))
		assert.Equal(t, want, got, header)
		assert.Equal(t, len(b)-len(want), at, header)
		got, _ = btfsection.Find(b[:len(b)-1])
		assert.Equal(t, section(2, 24), got, header)
	}
	got, _ := btfsection.Find([]byte(bare))
	assert.Nil(t, got)
}

func TestCountTypes(t *testing.T) {
	for _, header := range []int{24, 32} {
		b := section(5, header)
		n, ok := btfsection.CountTypes(b)
		assert.True(t, ok)
		assert.Equal(t, 5, n)
		for n := range b {
			_, ok := btfsection.CountTypes(b[:n])
			require.False(t, ok, "cut short to %d bytes", n)
		}
	}
	b := section(5, 24)
	b[0], b[1] = b[1], b[0]
	_, ok := btfsection.CountTypes(b)
	assert.False(t, ok, "big-endian")
}

// FuzzFind: what is found lies in the file, and has as many types as fit.
func FuzzFind(f *testing.F) {
	f.Add(section(3, 24))
	f.Add(section(2, 32))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, at := btfsection.Find(b)
		if found == nil {
			return
		}
		require.Equal(t, b[at:at+len(found)], found)
		n, ok := btfsection.CountTypes(found)
		require.True(t, ok)
		require.LessOrEqual(t, n, len(found)/12)
	})
}
