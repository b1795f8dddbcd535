//go:build !unix || nommap

package hostmem

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"callops/internal/errno"
)

// Mapped reports whether files are mapped; where not, they are read.
const Mapped = false

// maxSize bounds allocations from the heap, which panics where a mapping would fail.
const maxSize = min(1<<36, 1<<(unsafe.Sizeof(uintptr(0))*8-2))

// Alloc returns size zeroed bytes of the Go heap. More than 64 GiB (on a 64-bit
// host) is ENOMEM; less may still end the process where the host has not that
// much.
func Alloc(size int) ([]byte, error) {
	if size < 0 || size > maxSize {
		return nil, fmt.Errorf("%#x bytes of memory: %w", size, errno.ENOMEM)
	}
	b := make([]byte, size+PageSize)
	at := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % PageSize
	return b[at : at+uintptr(size) : at+uintptr(size)], nil
}

// Free does nothing: the heap's memory goes when no one refers to it.
func Free([]byte) error { return nil }

// Overlay reads what a Unix maps.
func Overlay(b []byte, f *os.File, off int64) error {
	if n, err := f.ReadAt(b, off); n < len(b) {
		return err
	}
	return nil
}

// Map reads the first size bytes of f. No store reaches it.
func Map(f *os.File, size int, _ bool) ([]byte, error) {
	b, err := Alloc(size)
	if err != nil {
		return nil, err
	}
	return b, Overlay(b, f, 0)
}

// Seal does nothing.
func Seal([]byte) error { return nil }

// Dup fails: what was read needs no descriptor.
func Dup(f *os.File) (*os.File, error) {
	return nil, fmt.Errorf("duplicate %s: %w", f.Name(), errors.ErrUnsupported)
}

// NewScratch returns an empty file on the heap.
func NewScratch(string) (Scratch, error) { return &scratch{}, nil }

type scratch struct{ b []byte }

func (s *scratch) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

func (s *scratch) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(s.b)) {
		return 0, io.EOF
	}
	n := copy(p, s.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *scratch) Close() error {
	s.b = nil
	return nil
}
