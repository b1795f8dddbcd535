package textdiff

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/edits"
	"callops/kernelimage"
)

// edited is a kernel with changes to the bytes of its segments, laid out one after the
// other.
func edited(img *kernelimage.Image, e []byte) *kernelimage.Image {
	p := img.Parts()
	var all []byte
	for i := range p.Segments {
		b, _ := p.Segments[i].Bytes()
		all = append(all, b...)
	}
	all = append(edits.Apply(all, e), make([]byte, len(all))...)
	for i := range p.Segments {
		s := &p.Segments[i]
		n := s.FileSize()
		*s = kernelimage.NewSegment(s.Name, s.Addr, all[:n:n], s.MemSize, s.Perm)
		all = all[n:]
	}
	return kernelimage.New(p)
}

// FuzzCompare: whatever text and tables hold, a comparison ends, and a kernel is the same
// as itself.
func FuzzCompare(f *testing.F) {
	b := usual()
	img := b.image(f)
	f.Add(edits.At(0, 1, 2, 3))
	f.Add(edits.At(64, binary.LittleEndian.AppendUint32(nil, 0xd61f0020)...)) // br x1
	f.Add(edits.At(72, binary.LittleEndian.AppendUint32(nil, 0x58000044)...)) // ldr x4, .+8
	f.Fuzz(func(t *testing.T, e []byte) {
		other := edited(img, e)
		d, err := Compare(t.Context(), img, other)
		require.NoError(t, err)
		assert.LessOrEqual(t, d.Same+len(d.Changes), 2*d.Functions+8)
		again, err := Compare(t.Context(), other, other)
		require.NoError(t, err)
		assert.Empty(t, again.Changes)
	})
}
