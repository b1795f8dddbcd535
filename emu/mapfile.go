package emu

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"callops/internal/hostmem"
)

// MapFile fills [addr, addr+n), which may span adjacent regions, with n bytes of
// f from off on. Whole pages are mapped, not read: they are shared with the page
// cache until something writes to them, and the file never changes. What is not
// a page of its own in both, or not at the same place in it, is read.
//
// It comes before an engine is opened over the memory; f may be closed after it.
// A file that does not have the bytes is refused with io.ErrUnexpectedEOF and an
// unmapped address with a [*Fault], before anything is filled. One that is cut
// short later takes its pages from under the guest: access to them raises
// SIGBUS, which has no handler.
func (m *Memory) MapFile(addr uint64, f *os.File, off int64, n uint64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if off < 0 || off > info.Size() || n > uint64(info.Size()-off) {
		return fmt.Errorf("map %s: %#x bytes at %#x of %#x: %w", f.Name(), n, off, info.Size(), io.ErrUnexpectedEOF)
	}
	for at, left := addr, n; left > 0; {
		r := m.Region(at)
		if r == nil {
			return &Fault{Addr: at, Size: left, Access: Store, Kind: Unmapped}
		}
		part := min(left, r.Size-(at-r.Base))
		at, left = at+part, left-part
	}
	for n > 0 {
		r := m.Region(addr)
		part := min(n, r.Size-(addr-r.Base))
		if err := r.mapFile(addr-r.Base, f, off, part); err != nil {
			return fmt.Errorf("map %s at %#x, %#x bytes: %w", f.Name(), addr, part, err)
		}
		addr, off, n = addr+part, off+int64(part), n-part
	}
	return nil
}

// mapFile fills n bytes of the region from the offset at on.
func (r *Region) mapFile(at uint64, f *os.File, off int64, n uint64) error {
	host := r.host[at : at+n]
	page := uint64(os.Getpagesize())
	start := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(host))))
	before := -start % page // up to the first whole page
	if (start-uint64(off))%page != 0 || n < before+page {
		return readFull(f, host, off)
	}
	whole := (n - before) &^ (page - 1)
	if err := readFull(f, host[:before], off); err != nil {
		return err
	}
	if err := readFull(f, host[before+whole:], off+int64(before+whole)); err != nil {
		return err
	}
	// Replaces pages of r.host, and is unmapped with them.
	err := hostmem.Overlay(host[before:before+whole], f, off+int64(before))
	if err == nil && hostmem.Mapped {
		r.filed.Store(true)
	}
	return err
}

func readFull(f *os.File, b []byte, off int64) error {
	if n, err := f.ReadAt(b, off); n < len(b) {
		return err
	}
	return nil
}
