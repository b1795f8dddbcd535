package hostmem_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/hostmem"
)

func TestAlloc_IsZeroAlignedAndWritable(t *testing.T) {
	for _, size := range []int{hostmem.PageSize, 3 * hostmem.PageSize, 1 << 20} {
		b, err := hostmem.Alloc(size)
		require.NoError(t, err)
		assert.Len(t, b, size)
		assert.Zero(t, uintptr(unsafe.Pointer(unsafe.SliceData(b)))%hostmem.PageSize)
		assert.Equal(t, make([]byte, size), b)
		b[0], b[size-1] = 1, 2
		assert.NoError(t, hostmem.Free(b))
	}
}

func TestAlloc_MoreThanTheHostHasIsAnError(t *testing.T) {
	_, err := hostmem.Alloc(int(^uint(0) >> 1))
	assert.Error(t, err)
}

// pages is a file of three of the host's pages, all different.
func pages(t *testing.T) (*os.File, []byte) {
	t.Helper()
	page := max(os.Getpagesize(), hostmem.PageSize)
	b := bytes.Join([][]byte{bytes.Repeat([]byte{1}, page), bytes.Repeat([]byte{2}, page), bytes.Repeat([]byte{3}, page)}, nil)
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f, b
}

func TestOverlay_IsOfTheFileUntilItIsWrittenTo(t *testing.T) {
	f, want := pages(t)
	page := len(want) / 3
	b, err := hostmem.Alloc(len(want))
	require.NoError(t, err)
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%uintptr(page) != 0 {
		t.Skip("the heap's memory is not aligned to the host's pages")
	}
	require.NoError(t, hostmem.Overlay(b[page:], f, int64(page)))
	assert.Equal(t, make([]byte, page), b[:page])
	assert.True(t, bytes.Equal(want[page:], b[page:]))
	b[page] = 0xff
	assert.NoError(t, hostmem.Free(b))
	after := make([]byte, len(want))
	_, err = f.ReadAt(after, 0)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, after), "the file has not changed")
}

func TestMap_StoresReachTheFileWhereTheyAreShared(t *testing.T) {
	for _, shared := range []bool{false, true} {
		f, want := pages(t)
		b, err := hostmem.Map(f, len(want)-100, shared)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want[:len(want)-100], b))
		b[0] = 0xff
		require.NoError(t, hostmem.Seal(b))
		assert.EqualValues(t, 0xff, b[0])
		var first [1]byte
		_, err = f.ReadAt(first[:], 0)
		require.NoError(t, err)
		assert.Equal(t, shared && hostmem.Mapped, first[0] == 0xff)
		assert.NoError(t, hostmem.Free(b))
	}
}

func TestDup_OutlivesTheFile(t *testing.T) {
	f, want := pages(t)
	d, err := hostmem.Dup(f)
	if !hostmem.Mapped {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	require.NoError(t, f.Close())
	got := make([]byte, len(want))
	_, err = d.ReadAt(got, 0)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))
	assert.NoError(t, d.Close())
}

func TestScratch_HoldsWhatIsWritten(t *testing.T) {
	s, err := hostmem.NewScratch("name")
	require.NoError(t, err)
	for _, part := range []string{"one ", "two ", "three"} {
		_, err := io.WriteString(s, part)
		require.NoError(t, err)
	}
	got, err := io.ReadAll(io.NewSectionReader(s, 4, 100))
	require.NoError(t, err)
	assert.Equal(t, "two three", string(got))
	n, err := s.ReadAt(make([]byte, 4), 100)
	assert.Zero(t, n)
	assert.ErrorIs(t, err, io.EOF)
	assert.NoError(t, s.Close())
}
