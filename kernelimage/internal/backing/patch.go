package backing

import (
	"errors"
	"fmt"
	"os"

	"callops/emu"
	"callops/internal/hostmem"
)

// Granule is what runs are multiples of, in bytes: a page of the host's, or of guests' where that is more.
func Granule() uint64 { return uint64(max(os.Getpagesize(), emu.PageSize)) }

// Run is pages that another file has for an image: Size bytes of the image at At, which are the file's from From on. At and From are multiples of
// the granule, and so is Size but for a last page that is cut short.
type Run struct {
	At, Size uint64
	From     int64
}

// Runs are the pages of Bytes that are not f's, by what was changed, with the first to be at the given place of another file and
// the others after it. All of them, where f is in memory.
func (m *File) Runs(from int64) (runs []Run) {
	size, granule := uint64(len(m.Bytes)), Granule()
	if m.own {
		return []Run{{At: 0, Size: size, From: from}}
	}
	for at := uint64(0); at < size; at += granule {
		if !m.changedIn(at, min(at+granule, size)) {
			continue
		}
		n := min(granule, size-at)
		if last := len(runs) - 1; last >= 0 && runs[last].At+runs[last].Size == at {
			runs[last].Size += n
		} else {
			runs = append(runs, Run{At: at, Size: n, From: from})
		}
		from += int64(granule)
	}
	return runs
}

func (m *File) changedIn(at, end uint64) bool {
	for ; at < end; at += emu.PageSize {
		if m.changed[at/emu.PageSize] {
			return true
		}
	}
	return false
}

// Patched maps size bytes of a file, with runs of another one, in ascending order, over them. It keeps descriptors of its own.
func Patched(f *os.File, size int64, name string, patch *os.File, runs []Run) (*File, error) {
	m, err := New(f, size, name, false)
	if err != nil {
		return nil, err
	}
	if m.patch, err = hostmem.Dup(patch); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), m.Close())
	}
	m.runs = runs
	return m, m.closedUnless(m.overlay(m.patch, runs))
}

// Inside maps size bytes of a file of callops' own, from at on, which is a multiple of the granule.
func Inside(f *os.File, at, size int64, name string) (*File, error) {
	d, err := hostmem.Dup(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	granule := int64(Granule())
	b, err := hostmem.Alloc(int((size + granule - 1) / granule * granule))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), d.Close())
	}
	m := &File{Bytes: b[:size:size], all: b, f: d, at: at, name: name, own: true, changed: make([]bool, (size+emu.PageSize-1)/emu.PageSize)}
	m.users.Store(1)
	return m, m.closedUnless(m.overlay(d, []Run{{At: 0, Size: uint64(size), From: at}}))
}

func (m *File) overlay(f *os.File, runs []Run) error {
	for _, r := range runs {
		if err := hostmem.Overlay(m.Bytes[r.At:r.At+r.Size], f, r.From); err != nil {
			return fmt.Errorf("%s: mmap of %#x bytes: %w", m.name, r.Size, err)
		}
	}
	return nil
}

// closedUnless closes the file where there is an error.
func (m *File) closedUnless(err error) error {
	if err != nil {
		err = errors.Join(err, m.Close())
	}
	return err
}
