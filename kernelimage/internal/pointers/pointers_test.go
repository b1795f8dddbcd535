package pointers_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/pointers"
)

const (
	align = 2 << 20
	size  = 8 * align
	link  = 0xffff_8000_8000_0000
)

// symbols are at every 64 bytes or more of the image.
func symbols() (offs []uint64) {
	random := rand.New(rand.NewPCG(1, 2))
	for off := uint64(0); off < size; off += 64 + 8*random.Uint64N(32) {
		offs = append(offs, off)
	}
	return offs
}

// image holds n pointers to symbols, and others.
func image(n, others int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	b, offs := make([]byte, 1<<20), symbols()
	put := func(v uint64) { binary.LittleEndian.PutUint64(b[8*random.IntN(len(b)/8):], v) }
	for range others {
		put(link + random.Uint64N(size))
		put(-random.Uint64N(200)) // an errno
	}
	for range n {
		put(link + offs[random.IntN(len(offs))])
	}
	return b
}

func TestLink_IsWherePointersPointAtSymbols(t *testing.T) {
	for _, shift := range []uint64{0, 0x80000} {
		b := image(5000, 5000)
		if shift != 0 {
			for at := 0; at < len(b); at += 8 {
				if w := binary.LittleEndian.Uint64(b[at:]); w>>32 == link>>32 {
					binary.LittleEndian.PutUint64(b[at:], w+shift)
				}
			}
		}
		got, ok := pointers.Link(b, symbols(), size, shift, align)
		require.True(t, ok)
		assert.Equal(t, link+shift, got)
	}
}

func TestLink_IsNotToldByFewPointersNorByOthers(t *testing.T) {
	for name, b := range map[string][]byte{"none": nil, "few": image(10, 0), "others": image(0, 20_000)} {
		_, ok := pointers.Link(b, symbols(), size, 0, align)
		assert.False(t, ok, name)
	}
	_, ok := pointers.Link(image(5000, 0), nil, size, 0, align)
	assert.False(t, ok, "no symbols")
}

func FuzzLink(f *testing.F) {
	offs := symbols()
	var seed []byte
	for _, off := range offs[:20] {
		seed = binary.LittleEndian.AppendUint64(seed, link+off)
	}
	f.Add(seed, uint64(size-1), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, n, shift uint64) {
		n, shift = n%size, shift%align
		got, ok := pointers.Link(b, offs, n, shift, align)
		if ok {
			require.EqualValues(t, shift, got%align)
			require.EqualValues(t, 0xffff, got>>48)
		}
	})
}
