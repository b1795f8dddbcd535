// Package patchimage changes instructions of a kernel's Image, for tests of what a
// patched kernel does that need no compiler.
package patchimage

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/kernelimage"
)

// Addr is the address off bytes into the function or object called symbol, of which there
// has to be one.
func Addr(tb testing.TB, img *kernelimage.Image, symbol string, off uint64) uint64 {
	tb.Helper()
	var found []uint64
	for _, s := range img.SymbolTable().Called(symbol) {
		if !slices.Contains(found, s.Addr) {
			found = append(found, s.Addr)
		}
	}
	require.Len(tb, found, 1, symbol)
	return found[0] + off
}

// Words is the image with other words at some addresses. It reads the file of img, and is
// closed with it.
func Words(tb testing.TB, img *kernelimage.Image, words map[uint64]uint32) *kernelimage.Image {
	tb.Helper()
	p := img.Parts()
	left := len(words)
	for i := range p.Segments {
		s := &p.Segments[i]
		var data []byte
		for addr, w := range words {
			if addr < s.Addr || addr+4 > s.Addr+s.FileSize() {
				continue
			}
			if data == nil {
				var err error
				data, err = s.Bytes()
				require.NoError(tb, err)
			}
			binary.LittleEndian.PutUint32(data[addr-s.Addr:], w)
			left--
		}
		if data != nil {
			*s = kernelimage.NewSegment(s.Name, s.Addr, data, s.MemSize, s.Perm)
		}
	}
	require.Zero(tb, left, "words outside the image")
	return kernelimage.New(p)
}

// Write writes a kernel as a raw Image, with its relocations applied, to a file that is
// removed after the test, and returns its path.
func Write(tb testing.TB, img *kernelimage.Image) string {
	tb.Helper()
	require.NotNil(tb, img.Linux(), "%s is not a raw Image", img.Name())
	var b []byte
	segments := img.Segments()
	for i := range segments {
		s := &segments[i]
		require.EqualValues(tb, s.Addr, segments[0].Addr+uint64(len(b)))
		data, err := s.Bytes()
		require.NoError(tb, err)
		b = append(b, data...)
		if i+1 < len(segments) {
			b = append(b, make([]byte, s.MemSize-s.FileSize())...)
		}
	}
	path := filepath.Join(tb.TempDir(), "Image")
	require.NoError(tb, os.WriteFile(path, b, 0o600))
	return path
}
