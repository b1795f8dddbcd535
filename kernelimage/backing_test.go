package kernelimage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/kernelimage/internal/backing"
)

// writeRaw puts a fixture into a file.
func writeRaw(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Image")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

func opened(t *testing.T, path string) *Image {
	t.Helper()
	img, err := Open(t.Context(), path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	return img
}

// loaded is the image in memory.
func loaded(img *Image) (*emu.Memory, error) {
	mem, b := emu.NewMemory(), img.Bounds()
	if _, err := mem.Map(img.name, b.Start, pageUp(b.End-b.Start), emu.Read|emu.Write|emu.Exec); err != nil {
		return nil, err
	}
	for i := range img.segments {
		if err := img.segments[i].Load(mem); err != nil {
			return nil, err
		}
	}
	return mem, nil
}

// mappedOnly skips what is of a file that stays open: one that was read is done with.
func mappedOnly(t *testing.T) {
	t.Helper()
	if !hostmem.Mapped {
		t.Skip("no file is mapped here")
	}
}

func TestOpen_RawImageIsMappedAndItsFileStaysAsItIs(t *testing.T) {
	want := buildRaw(t, rawSpec{callOps: true})
	path := writeRaw(t, want.b)
	img := opened(t, path)
	checkRaw(t, want, img, rawSpec{callOps: true})
	assert.Equal(t, hostmem.Mapped, img.file.Mapped())

	copied := parsed(t, want.b)
	assert.False(t, copied.file.Mapped())
	for i, s := range img.segments {
		assert.True(t, bytes.Equal(copied.segments[i].data, s.data), "%s is relocated as in one that was copied", s.Name)
	}
	for _, from := range []*Image{img, copied} {
		mem, err := loaded(from)
		require.NoError(t, err)
		for _, s := range from.segments {
			got := make([]byte, s.MemSize)
			require.NoError(t, mem.Read(s.Addr, got))
			assert.True(t, bytes.Equal(s.data, got[:len(s.data)]), s.Name)
			assert.Equal(t, make([]byte, len(got)-len(s.data)), got[len(s.data):], s.Name)
		}
		if os.Getpagesize() == emu.PageSize {
			assert.Equal(t, hostmem.Mapped, mem.Region(want.base).Filed())
		}
		require.NoError(t, mem.Store32(want.base+fixtureText, 0))
		w, _ := from.Word(want.base + fixtureText)
		assert.NotZero(t, w, "a store in the guest reaches the image no more than the file")
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want.b, after))
}

func TestLoad_RefusesAnImageWhoseFileHasChanged(t *testing.T) {
	mappedOnly(t)
	b := buildRaw(t, rawSpec{}).b
	for name, change := range map[string]func(path string) error{
		"shrunk":  func(path string) error { return os.Truncate(path, int64(len(b)/2)) },
		"grown":   func(path string) error { return os.Truncate(path, int64(2*len(b))) },
		"touched": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
	} {
		path := writeRaw(t, b)
		img := opened(t, path)
		require.NoError(t, change(path))
		_, err := loaded(img)
		assert.ErrorIs(t, err, errno.ESTALE, name)
	}
	path := writeRaw(t, b)
	img := opened(t, path)
	require.NoError(t, os.Rename(writeRaw(t, make([]byte, 10)), path))
	_, err := loaded(img)
	assert.NoError(t, err)
}

func TestBacking_AFileThatIsCutShortWhileItIsReadIsAnError(t *testing.T) {
	mappedOnly(t)
	path := writeRaw(t, buildRaw(t, rawSpec{}).b)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	file, err := backing.New(f, fixtureSize, "Image", false)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, os.Truncate(path, fixtureInit))
	err = file.Guard(func() error {
		assert.Zero(t, file.Bytes[fixtureSize-1])
		return nil
	})
	assert.ErrorIs(t, err, errno.EIO)
	assert.EqualError(t, err, "Image: was cut short while it was read")
	assert.PanicsWithValue(t, "other", func() {
		_ = file.Guard(func() error { panic("other") })
	})

	_, err = backing.New(f, fixtureSize, "Image", false)
	assert.EqualError(t, err, fmt.Sprintf("Image: cut short: %#x of %#x bytes", fixtureInit, fixtureSize))
	_, err = Parse(t.Context(), f, fixtureSize, "Image", nil)
	assert.ErrorIs(t, err, errno.ENOEXEC)
	_, err = Parse(t.Context(), bytes.NewReader(buildRaw(t, rawSpec{}).b[:fixtureInit]), fixtureSize, "Image", nil)
	assert.EqualError(t, err, fmt.Sprintf("Image: cut short: %#x of %#x bytes", fixtureInit, fixtureSize))
}

func TestImage_CloseGivesItsMemoryBackOnce(t *testing.T) {
	img, err := Open(t.Context(), writeRaw(t, buildRaw(t, rawSpec{}).b), nil)
	require.NoError(t, err)
	addr := img.sites[0].IP
	_, ok := img.Word(addr)
	assert.True(t, ok)
	require.NoError(t, img.Close())
	require.NoError(t, img.Close())
	_, ok = img.Word(addr)
	assert.False(t, ok)
	_, err = loaded(img)
	assert.ErrorIs(t, err, os.ErrClosed)
	require.NoError(t, builtinImage(t, nil).Close())
}
