package emu_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/internal/hostmem"
)

// numbered is a file of pages that are all different.
func numbered(t *testing.T, size int) (*os.File, []byte) {
	t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i/emu.PageSize + i + 1)
	}
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f, b
}

func TestMapFile_IsAsIfWritten(t *testing.T) {
	const page, size = emu.PageSize, 8 * emu.PageSize
	f, b := numbered(t, size-100)
	for name, test := range map[string]struct {
		at, off, n uint64
		filed      bool
	}{
		"whole_pages":             {0, 0, 3 * page, true},
		"from_the_middle":         {page, 4 * page, 2 * page, true},
		"ends_within_a_page":      {0, 0, size - 100, true},
		"begins_within_a_page":    {page + 24, page + 24, 3 * page, true},
		"over_two_regions":        {3 * page, 2 * page, 3 * page, true},
		"at_another_place_of_it":  {8, 0, 3 * page, false},
		"less_than_a_page":        {page, page, 100, false},
		"two_parts_of_two_pages":  {page + 100, page + 100, page, false},
		"nothing":                 {0, 0, 0, false},
		"nothing_behind_the_last": {0, size - 100, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t)
			low, err := m.Map("low", base, size/2, emu.Read|emu.Exec)
			require.NoError(t, err)
			_, err = m.Map("high", base+size/2, size/2, emu.Read)
			require.NoError(t, err)
			require.NoError(t, m.MapFile(base+test.at, f, int64(test.off), test.n))
			want := make([]byte, size)
			copy(want[test.at:], b[test.off:test.off+test.n])
			got := make([]byte, size)
			require.NoError(t, m.Read(base, got))
			assert.True(t, bytes.Equal(want, got))
			if os.Getpagesize() == page {
				assert.Equal(t, test.filed && hostmem.Mapped, low.Filed())
			}
		})
	}
}

func TestMapFile_StoresDoNotReachTheFile(t *testing.T) {
	f, b := numbered(t, 2*emu.PageSize)
	var mems []*emu.Memory
	for range 2 {
		m := newMemory(t)
		_, err := m.Map("text", base, 2*emu.PageSize, emu.Read)
		require.NoError(t, err)
		require.NoError(t, m.MapFile(base, f, 0, 2*emu.PageSize))
		mems = append(mems, m)
	}
	require.NoError(t, mems[0].Store64(base+emu.PageSize, 0))
	for what, read := range map[string]func(p []byte) error{
		"the file":             func(p []byte) error { _, err := f.ReadAt(p, 0); return err },
		"another memory of it": func(p []byte) error { return mems[1].Read(base, p) },
	} {
		got := make([]byte, len(b))
		require.NoError(t, read(got))
		assert.True(t, bytes.Equal(b, got), what)
	}
	v, err := mems[0].Load64(base + emu.PageSize)
	require.NoError(t, err)
	assert.Zero(t, v)
}

func TestMapFile_RefusesWhatIsNotThere(t *testing.T) {
	f, _ := numbered(t, emu.PageSize+1)
	m := twoRegions(t)
	for name, test := range map[string]struct {
		addr uint64
		off  int64
		n    uint64
		want error
	}{
		"behind_the_end":     {base, emu.PageSize, 2, io.ErrUnexpectedEOF},
		"far_behind_the_end": {base, 1 << 40, 1, io.ErrUnexpectedEOF},
		"before_the_start":   {base, -1, 1, io.ErrUnexpectedEOF},
		"huge":               {base, 0, 1 << 63, io.ErrUnexpectedEOF},
		"unmapped":           {base - 1, 0, 1, errno.EFAULT},
		"ends_unmapped":      {base + emu.PageSize, 0, emu.PageSize + 1, errno.EFAULT},
	} {
		assert.ErrorIs(t, m.MapFile(test.addr, f, test.off, test.n), test.want, name)
	}
	words, err := m.ReadWords(base, 2*emu.PageSize/8)
	require.NoError(t, err)
	assert.Equal(t, make([]uint64, len(words)), words, "nothing was filled")
	require.NoError(t, f.Close())
	assert.ErrorIs(t, m.MapFile(base, f, 0, 1), os.ErrClosed)
}
