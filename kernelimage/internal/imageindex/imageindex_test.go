package imageindex

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/edits"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/kernelimage/internal/backing"
)

// written is an index of an image of three granules and some bytes, in which the second and the last are changed.
func written(tb testing.TB) (b []byte, image *backing.File, sections [Sections][]byte) {
	tb.Helper()
	if !hostmem.Mapped {
		tb.Skip("no file is mapped here")
	}
	granule := int(backing.Granule())
	path := filepath.Join(tb.TempDir(), "Image")
	require.NoError(tb, os.WriteFile(path, bytes.Repeat([]byte("image..."), (3*granule+24)/8), 0o600))
	f, err := os.Open(path)
	require.NoError(tb, err)
	defer f.Close()
	image, err = backing.New(f, int64(3*granule+24), "Image", false)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, image.Close()) })
	for _, at := range []int{granule + 8, 3*granule + 16} {
		copy(image.Bytes[at:], "changed!")
		image.Change(uint64(at))
	}
	for i := range sections {
		sections[i] = bytes.Repeat([]byte{byte('a' + i)}, 10*i)
	}
	out, err := os.Create(filepath.Join(tb.TempDir(), "index"))
	require.NoError(tb, err)
	require.NoError(tb, Write(out, sections, image))
	require.NoError(tb, out.Close())
	b, err = os.ReadFile(out.Name())
	require.NoError(tb, err)
	return b, image, sections
}

func TestRead_IsWhatWasWritten(t *testing.T) {
	b, image, sections := written(t)
	x, err := Read(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	assert.Equal(t, sections, x.Sections)
	assert.EqualValues(t, len(image.Bytes), x.Size)
	assert.False(t, x.Whole())
	require.Len(t, x.Runs, 2)
	for _, r := range x.Runs {
		assert.Equal(t, image.Bytes[r.At:r.At+r.Size], b[r.From:uint64(r.From)+r.Size])
		assert.Zero(t, uint64(r.From)%backing.Granule())
	}
}

func TestRead_RefusesEveryDamage(t *testing.T) {
	b, _, _ := written(t)
	for at := range b {
		if at > headerSize+200 && at%509 != 0 {
			continue
		}
		damaged := bytes.Clone(b)
		damaged[at] ^= 1
		_, err := Read(bytes.NewReader(damaged), int64(len(b)))
		require.ErrorIs(t, err, errno.EINVAL, "at %#x", at)
		_, err = Read(bytes.NewReader(b[:at]), int64(at))
		require.ErrorIs(t, err, errno.EINVAL, "cut at %#x", at)
	}
}

// seal gives a file the checksum that it ought to have.
func seal(b []byte) { binary.LittleEndian.PutUint64(b[sumAt:], xxhash.Sum64(b[sizeAt:])) }

// FuzzRead: any file gives sections and pages of the file, or an error, and takes no more memory than it has bytes.
func FuzzRead(f *testing.F) {
	b, _, _ := written(f)
	f.Add(edits.At(sizeAt, 1), true)
	f.Add(edits.Cut(100), false)
	f.Fuzz(func(t *testing.T, e []byte, sums bool) {
		edited := edits.Apply(b, e)
		if sums && len(edited) >= headerSize {
			seal(edited)
		}
		x, err := Read(bytes.NewReader(edited), int64(len(edited)))
		if err != nil {
			return
		}
		for _, r := range x.Runs {
			require.LessOrEqual(t, r.At+r.Size, x.Size)
			require.LessOrEqual(t, uint64(r.From)+r.Size, uint64(len(edited)))
		}
	})
}
