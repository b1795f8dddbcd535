package imageheader

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

const most = 1 << 30

// image is 64 KiB of a kernel that takes up 128 KiB.
func image(edit func(b []byte)) []byte {
	b := make([]byte, 64<<10)
	copy(b[MagicAt:], Magic)
	binary.LittleEndian.PutUint64(b[ImageSizeAt:], 128<<10)
	binary.LittleEndian.PutUint64(b[FlagsAt:], Pages4K)
	if edit != nil {
		edit(b)
	}
	return b
}

func put(off int, v uint64) func(b []byte) {
	return func(b []byte) { binary.LittleEndian.PutUint64(b[off:], v) }
}

// peOf makes it an EFI program with one section, of a size, at 0x1000.
func peOf(size uint32) func(b []byte) {
	return func(b []byte) {
		le := binary.LittleEndian
		le.PutUint32(b[0x3c:], 0x40)
		copy(b[0x40:], "PE\x00\x00")
		b[0x46] = 1
		le.PutUint32(b[0x40+24+16:], size)
		le.PutUint32(b[0x40+24+20:], 0x1000)
	}
}

func TestRead(t *testing.T) {
	for flags, page := range map[uint64]uint64{Pages4K: 4 << 10, Pages16K | 8: 16 << 10, Pages64K: 64 << 10} {
		h, err := Read(image(put(FlagsAt, flags)), "Image", most)
		require.NoError(t, err)
		assert.Equal(t, Header{ImageSize: 128 << 10, PageSize: page}, h)
	}
	h, err := Read(image(put(TextOffsetAt, 0x80000)), "Image", most)
	require.NoError(t, err)
	assert.EqualValues(t, 0x80000, h.TextOffset)
	_, err = Read(image(peOf(0xf000)), "Image", most)
	assert.NoError(t, err, "its sections end with the file")
}

func TestRead_Refuses(t *testing.T) {
	for name, test := range map[string]struct {
		b    []byte
		want string
	}{
		"empty":       {nil, "has no magic"},
		"magic":       {image(func(b []byte) { b[MagicAt] = 0 }), "has no magic"},
		"big_endian":  {image(put(FlagsAt, Pages4K|BigEndian)), "Image header at 0x18: the kernel is big-endian"},
		"pages":       {image(put(FlagsAt, 0)), "pages is not specified"},
		"text_offset": {image(put(TextOffsetAt, 0x123)), "text_offset 0x123"},
		"text_far":    {image(put(TextOffsetAt, Align)), "text_offset 0x200000"},
		"no_size":     {image(put(ImageSizeAt, 0)), "image_size is 0"},
		"small_size":  {image(put(ImageSizeAt, 0x1000)), "image_size 0x1000, with a file of 0x10000 bytes"},
		"huge_size":   {image(put(ImageSizeAt, 1<<60)), "image_size 0x1000000000000000"},
		"small_file":  {image(nil)[:0x1000], "the file has only 0x1000 bytes"},
		"cut_short":   {image(peOf(0xf001)), "cut short: its sections end at 0x10001, the file at 0x10000"},
	} {
		_, err := Read(test.b, "Image", most)
		require.ErrorContains(t, err, test.want, name)
		assert.ErrorIs(t, err, errno.ENOEXEC, name)
	}
}

// FuzzRead: a header that is taken describes an image that the file fits in.
func FuzzRead(f *testing.F) {
	f.Add(image(peOf(0xf000))[:0x100])
	f.Fuzz(func(t *testing.T, head []byte) {
		b := image(func(b []byte) { copy(b, head) })
		h, err := Read(b, "Image", most)
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			return
		}
		require.LessOrEqual(t, uint64(len(b)), h.ImageSize)
		require.LessOrEqual(t, h.ImageSize, uint64(most))
		require.Less(t, h.TextOffset, uint64(Align))
	})
}
