// Package backing holds the bytes of a kernel's raw Image: mapped from the file that was
// opened, or from one in memory that it was copied or unpacked to. Guests get pages
// of the same file.
package backing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unsafe"

	"callops/emu"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/kernelimage/internal/format"
	"callops/kernelimage/internal/packing"
)

// File is the file that an image's bytes are mapped from, either the one that
// was opened or one in memory of our own, which holds what was unpacked. The
// mapping is private to callops: what it changes, relocations, does not reach
// the file that was opened. A host that maps no files has only the bytes.
type File struct {
	Bytes []byte // until Release gives them back: see Use

	f    *os.File // nil: Bytes are on the heap
	at   int64    // where Bytes begin in it
	name string
	own  bool // f is callops' own, and has what Bytes have

	all   []byte   // what was mapped: Bytes, and the rest of the last page
	patch *os.File // nil: Bytes are those of f, but for what was changed
	runs  []Run    // what is mapped from it instead

	size    int64 // when it was mapped
	modTime time.Time
	changed []bool // pages of Bytes that differ from f's
	closed  atomic.Bool
	users   atomic.Int64 // references: the opener's, until Close, and the holders'; at 0 everything is released
}

// New maps size bytes of a file. It keeps a descriptor of its own.
func New(f *os.File, size int64, name string, own bool) (*File, error) {
	d, err := hostmem.Dup(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := &File{f: d, name: name, own: own}
	m.users.Store(1)
	if err := m.mapAll(size); err != nil {
		return nil, errors.Join(err, m.f.Close())
	}
	return m, nil
}

// Mapped reports whether Bytes are mapped from the file that was opened.
func (m *File) Mapped() bool { return m.f != nil && !m.own }

func (m *File) mapAll(size int64) error {
	info, err := m.f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.size, m.modTime = info.Size(), info.ModTime()
	if m.size < size {
		return cutShort(m.name, m.size, size)
	}
	if m.Bytes, err = hostmem.Map(m.f, int(size), m.own); err != nil {
		return fmt.Errorf("%s: mmap of %#x bytes: %w", m.name, size, err)
	}
	m.all, m.changed = m.Bytes, make([]bool, (size+emu.PageSize-1)/emu.PageSize)
	return nil
}

func cutShort(name string, have, want int64) error {
	return &format.Error{File: name, Msg: fmt.Sprintf("cut short: %#x of %#x bytes", have, want), Errno: errno.ENOEXEC}
}

// Change notes that the doubleword at off of Bytes was changed.
func (m *File) Change(off uint64) {
	if m != nil && !m.own {
		m.changed[off/emu.PageSize], m.changed[(off+7)/emu.PageSize] = true, true
	}
}

// Seal ends the changes.
func (m *File) Seal() error {
	if m.f == nil {
		return nil
	}
	if err := hostmem.Seal(m.Bytes); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// Of maps size bytes of r, at most most; what is no file that can be mapped is copied to
// one first. own reports whether r is what Unpack returned.
func Of(ctx context.Context, r io.ReaderAt, size int64, name string, own bool, most int64) (*File, error) {
	if size > most {
		return nil, &format.Error{File: name, Msg: fmt.Sprintf("%#x bytes, at most %#x are read", size, most), Errno: errno.ENOEXEC}
	}
	if f, ok := r.(*os.File); ok && hostmem.Mapped {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return New(f, size, name, own)
		}
	}
	s, err := hostmem.NewScratch(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer s.Close()
	f, ok := s.(*os.File)
	if !ok {
		return onHeap(ctx, r, size, name)
	}
	if n, err := io.Copy(f, Reader(ctx, io.NewSectionReader(r, 0, size))); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	} else if n < size {
		return nil, cutShort(name, n, size)
	}
	return New(f, size, name, true)
}

// Unpack unpacks a kernel, of at most most bytes, to a file in memory.
func Unpack(ctx context.Context, p *packing.Format, src packing.Source, most int64) (hostmem.Scratch, int64, error) {
	f, err := hostmem.NewScratch(src.Name)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", src.Name, err)
	}
	n, err := p.UnpackTo(ctx, f, src, most)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	// The decompressor's window is garbage now. Left to itself the collector
	// would wait until as much has been allocated again.
	runtime.GC()
	return f, n, nil
}

// Reader reads from r until its context ends.
func Reader(ctx context.Context, r io.Reader) io.Reader { return source{ctx, r} }

type source struct {
	ctx context.Context
	r   io.Reader
}

func (s source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// onHeap reads size bytes of r, for hosts that map no files.
func onHeap(ctx context.Context, r io.ReaderAt, size int64, name string) (*File, error) {
	m := &File{name: name, own: true, Bytes: make([]byte, size)}
	m.users.Store(1)
	switch n, err := io.ReadFull(Reader(ctx, io.NewSectionReader(r, 0, size)), m.Bytes); {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, cutShort(name, int64(n), size)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// Guard calls parse, which reads Bytes. Where the file was cut short meanwhile, that
// is an error: the pages are gone, and reading them faults.
func (m *File) Guard(parse func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		fault, ok := p.(interface{ Addr() uintptr })
		if !ok || fault.Addr()-uintptr(unsafe.Pointer(unsafe.SliceData(m.Bytes))) >= uintptr(len(m.Bytes)) {
			panic(p)
		}
		err = &format.Error{File: m.name, Msg: "was cut short while it was read", Errno: errno.EIO}
	}()
	return parse()
}

// Use calls f, which reads Bytes. [os.ErrClosed] where they are given back already, and
// an error where the file was cut short since.
func (m *File) Use(f func() error) error {
	if !m.hold() {
		return m.errClosed()
	}
	return errors.Join(m.Guard(f), m.Release())
}

// Hold keeps Bytes over Close, until Release. [os.ErrClosed] where the file is closed
// already.
func (m *File) Hold() error {
	if m.closed.Load() || !m.hold() {
		return m.errClosed()
	}
	return nil
}

func (m *File) errClosed() error { return fmt.Errorf("%s: %w", m.name, os.ErrClosed) }

func (m *File) hold() bool {
	for {
		n := m.users.Load()
		if n == 0 {
			return false
		}
		if m.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Fill fills guest memory at addr with n bytes from off on: with pages of the
// file, and then with those that differ.
func (m *File) Fill(mem *emu.Memory, addr, off, n uint64) error {
	return m.Use(func() error { return m.fill(mem, addr, off, n) })
}

func (m *File) fill(mem *emu.Memory, addr, off, n uint64) error {
	if m.f == nil {
		return mem.Write(addr, m.Bytes[off:off+n])
	}
	if err := m.check(); err != nil {
		return err
	}
	if err := mem.MapFile(addr, m.f, m.at+int64(off), n); err != nil {
		return err
	}
	for _, r := range m.runs {
		start, end := max(r.At, off), min(r.At+r.Size, off+n)
		if start >= end {
			continue
		}
		if err := mem.MapFile(addr+start-off, m.patch, r.From+int64(start-r.At), end-start); err != nil {
			return err
		}
	}
	for at := off; at < off+n; {
		end := min(at&^(emu.PageSize-1)+emu.PageSize, off+n)
		if m.changed[at/emu.PageSize] {
			if err := mem.Write(addr+at-off, m.Bytes[at:end]); err != nil {
				return err
			}
		}
		at = end
	}
	return nil
}

// check refuses a file that is not what was read any more.
func (m *File) check() error {
	info, err := m.f.Stat()
	if err == nil && !m.own && (info.Size() != m.size || !info.ModTime().Equal(m.modTime)) {
		err = fmt.Errorf("has changed since it was opened: %w", errno.ESTALE)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// Close gives everything back, once no one holds it; a second Close, or one of nil,
// does nothing.
func (m *File) Close() error {
	if m == nil || m.closed.Swap(true) {
		return nil
	}
	return m.Release()
}

// Release ends a Hold.
func (m *File) Release() error {
	if m.users.Add(-1) > 0 || m.f == nil {
		return nil
	}
	err := errors.Join(hostmem.Free(m.all), m.f.Close())
	if m.patch != nil {
		err = errors.Join(err, m.patch.Close())
	}
	return err
}
