//go:build unix && !nommap

package hostmem

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mapped reports whether files are mapped; where not, they are read.
const Mapped = true

const readWrite = unix.PROT_READ | unix.PROT_WRITE

// Alloc returns size zeroed bytes that C may keep the address of until [Free].
// None of them takes memory before it is touched. The error is mmap's.
func Alloc(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, readWrite, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
}

// Free releases what [Alloc] or [Map] returned, as a whole.
func Free(b []byte) error { return unix.Munmap(b) }

// Overlay maps pages of f, from off on, over b, which is part of what
// [Alloc] returned and starts and ends on the host's pages. They are shared with
// the page cache until they are written to, and the file never changes.
func Overlay(b []byte, f *os.File, off int64) error {
	_, err := unix.MmapPtr(int(f.Fd()), off, unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)),
		readWrite, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return err
}

// Map maps the first size bytes of f. Stores reach the file where they are
// shared.
func Map(f *os.File, size int, shared bool) ([]byte, error) {
	kind := unix.MAP_PRIVATE | unix.MAP_NORESERVE
	if shared {
		kind = unix.MAP_SHARED
	}
	return unix.Mmap(int(f.Fd()), 0, size, readWrite, kind)
}

// Seal makes what [Map] returned read-only: a store to it is a fault.
func Seal(b []byte) error { return unix.Mprotect(b, unix.PROT_READ) }

// Dup returns the same open file with a descriptor of its own.
func Dup(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// NewScratch returns an empty file in memory, an *os.File; name is for messages.
func NewScratch(name string) (Scratch, error) { return scratchFile(name) }
