package kernelimage

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
	"callops/kernelimage/internal/packing"
)

// backing is the file that an image's bytes are mapped from, either the one that
// was opened or one in memory of our own, which holds what was unpacked. The
// mapping is private to callops: what it changes, relocations, does not reach
// the file that was opened. A host that maps no files has only the bytes.
type backing struct {
	f    *os.File // nil: b is on the heap
	name string
	own  bool // f is in memory, and has what b has
	b    []byte

	size    int64 // when it was mapped
	modTime time.Time
	changed []bool // pages of b that differ from f's
	closed  atomic.Bool
}

// newBacking maps size bytes of a file. It keeps a descriptor of its own.
func newBacking(f *os.File, size int64, name string, own bool) (*backing, error) {
	d, err := hostmem.Dup(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := &backing{f: d, name: name, own: own}
	if err := m.mapAll(size); err != nil {
		return nil, errors.Join(err, m.f.Close())
	}
	return m, nil
}

func (m *backing) mapAll(size int64) error {
	info, err := m.f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.size, m.modTime = info.Size(), info.ModTime()
	if m.size < size {
		return cutShort(m.name, m.size, size)
	}
	if m.b, err = hostmem.Map(m.f, int(size), m.own); err != nil {
		return fmt.Errorf("%s: mmap of %#x bytes: %w", m.name, size, err)
	}
	m.changed = make([]bool, pageUp(uint64(size))/emu.PageSize)
	return nil
}

func cutShort(name string, have, want int64) error {
	return &FormatError{File: name, Msg: fmt.Sprintf("cut short: %#x of %#x bytes", have, want), Errno: errno.ENOEXEC}
}

// change notes that the doubleword at off of b was changed.
func (m *backing) change(off uint64) {
	if m != nil && !m.own {
		m.changed[off/emu.PageSize], m.changed[(off+7)/emu.PageSize] = true, true
	}
}

// seal ends the changes.
func (m *backing) seal() error {
	if m.f == nil {
		return nil
	}
	if err := hostmem.Seal(m.b); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// backingOf maps size bytes of r; what is no file that can be mapped is copied to
// one first. own says that r is a file in memory, made here.
func backingOf(ctx context.Context, r io.ReaderAt, size int64, name string, own bool) (*backing, error) {
	if size > rawMaxSize {
		return nil, &FormatError{File: name, Msg: fmt.Sprintf("%#x bytes, at most %#x are read", size, rawMaxSize), Errno: errno.ENOEXEC}
	}
	if f, ok := r.(*os.File); ok && hostmem.Mapped {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return newBacking(f, size, name, own)
		}
	}
	s, err := hostmem.NewScratch(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer s.Close()
	f, ok := s.(*os.File)
	if !ok {
		return heapBacking(ctx, r, size, name)
	}
	if n, err := io.Copy(f, source{ctx, io.NewSectionReader(r, 0, size)}); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	} else if n < size {
		return nil, cutShort(name, n, size)
	}
	return newBacking(f, size, name, true)
}

// unpackFile unpacks a kernel to a file in memory.
func unpackFile(ctx context.Context, p *packing.Format, src packing.Source) (hostmem.Scratch, int64, error) {
	f, err := hostmem.NewScratch(src.Name)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", src.Name, err)
	}
	n, err := p.UnpackTo(ctx, f, src, maxUnpacked)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	// The decompressor's window is garbage now. Left to itself the collector
	// would wait until as much has been allocated again.
	runtime.GC()
	return f, n, nil
}

// source ends with its context.
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

// heapBacking reads size bytes of r, for hosts that map no files.
func heapBacking(ctx context.Context, r io.ReaderAt, size int64, name string) (*backing, error) {
	m := &backing{name: name, own: true, b: make([]byte, size)}
	switch n, err := io.ReadFull(source{ctx, io.NewSectionReader(r, 0, size)}, m.b); {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, cutShort(name, int64(n), size)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// guard calls parse, which reads b. Where the file was cut short meanwhile, that
// is an error: the pages are gone, and reading them faults.
func (m *backing) guard(parse func() (*Image, error)) (img *Image, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		fault, ok := p.(interface{ Addr() uintptr })
		if !ok || fault.Addr()-uintptr(unsafe.Pointer(unsafe.SliceData(m.b))) >= uintptr(len(m.b)) {
			panic(p)
		}
		img, err = nil, &FormatError{File: m.name, Msg: "was cut short while it was read", Errno: errno.EIO}
	}()
	return parse()
}

// fill fills guest memory at addr with n bytes from off on: with pages of the
// file, and then with those that differ.
func (m *backing) fill(mem *emu.Memory, addr, off, n uint64) error {
	if m.closed.Load() {
		return fmt.Errorf("%s: %w", m.name, os.ErrClosed)
	}
	if m.f == nil {
		return mem.Write(addr, m.b[off:off+n])
	}
	if err := m.check(); err != nil {
		return err
	}
	if err := mem.MapFile(addr, m.f, int64(off), n); err != nil {
		return err
	}
	for at := off; at < off+n; {
		end := min(at&^(emu.PageSize-1)+emu.PageSize, off+n)
		if m.changed[at/emu.PageSize] {
			if err := mem.Write(addr+at-off, m.b[at:end]); err != nil {
				return err
			}
		}
		at = end
	}
	return nil
}

// check refuses a file that is not what was read any more.
func (m *backing) check() error {
	info, err := m.f.Stat()
	if err == nil && !m.own && (info.Size() != m.size || !info.ModTime().Equal(m.modTime)) {
		err = fmt.Errorf("has changed since it was opened: %w", errno.ESTALE)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

func (m *backing) close() error {
	if m == nil || m.closed.Swap(true) {
		return nil
	}
	b := m.b
	m.b = nil
	if m.f == nil {
		return nil
	}
	return errors.Join(hostmem.Free(b), m.f.Close())
}
