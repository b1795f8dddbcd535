// Package elftest makes ELF files for the tests of their readers.
package elftest

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/elffile"
)

// Grown returns an ELF file of the given kind in which a section is n pieces long, each made
// by entry.
func Grown(tb testing.TB, path string, kind elffile.Kind, section string, n int, entry func(i int) []byte) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	require.NoError(tb, err)
	f, err := elffile.New(bytes.NewReader(b), int64(len(b)), "x", kind)
	require.NoError(tb, err)
	for i, s := range f.Sections {
		if s.Name != section {
			continue
		}
		b = append(b, make([]byte, -len(b)&7)...)
		header := b[f.Header.Shoff+uint64(i)*elffile.SectionSize:]
		binary.LittleEndian.PutUint64(header[24:], uint64(len(b)))
		start := len(b)
		for i := range n {
			b = append(b, entry(i)...)
		}
		header = b[f.Header.Shoff+uint64(i)*elffile.SectionSize:]
		binary.LittleEndian.PutUint64(header[32:], uint64(len(b)-start))
		return b
	}
	tb.Fatal("no section " + section)
	return nil
}
