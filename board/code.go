package board

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"callops/asm"
	"callops/internal/errno"
	"callops/kernelimage"
)

// executableMemory are the functions that allocate and free memory for code, the newest kernels' first. Before Linux 6.10 module_alloc
// takes the size alone.
var executableMemory = []struct {
	alloc, free string
	kind        []uint64 // what alloc takes before the size: EXECMEM_DEFAULT (include/linux/execmem.h)
}{
	{"execmem_alloc", "execmem_free", []uint64{0}},
	{"module_alloc", "module_memfree", nil},
}

// placed is code that the host has put into the kernel.
type placed struct {
	name    string
	size    uint64 // in bytes, whole pages
	symbols []kernelimage.Symbol
}

// keepCode gives placed code its names.
func (m *Machine) keepCode(base uint64, p placed) {
	m.code[base] = p
	m.symbols.AddRange(p.name, base, base+p.size)
	m.symbols.Add(p.symbols...)
}

// PlaceCode puts code into memory that the kernel allocates for modules' text, and makes it executable and read-only by the kernel's own
// set_memory_x and set_memory_ro. build assembles it for the base it is given, and may be called again for another one. The code may be called by
// [Machine.CallAt], by threads, and from the kernel. It is part of forks.
func (m *Machine) PlaceCode(ctx context.Context, name string, build func(base uint64) (*asm.Program, error)) (*asm.Program, error) {
	p, err := m.placeCode(ctx, name, m.page, build)
	if err != nil {
		return nil, fmt.Errorf("code %s: %w", name, err)
	}
	return p, nil
}

func (m *Machine) placeCode(ctx context.Context, name string, size uint64, build func(base uint64) (*asm.Program, error)) (p *asm.Program, err error) {
	if name == "" {
		return nil, fmt.Errorf("it has no name: %w", errno.EINVAL)
	}
	for base, p := range m.code {
		if p.name == name {
			return nil, fmt.Errorf("there is one at %#x: %w", base, errno.EEXIST)
		}
	}
	base, err := m.allocExecutable(ctx, size)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.freeExecutable(ctx, base, size))
		}
	}()
	if p, err = build(base); err != nil {
		return nil, err
	}
	switch need := (uint64(len(p.Code)) + m.page - 1) &^ (m.page - 1); {
	case p.Base != base || need == 0:
		return nil, fmt.Errorf("%d bytes of code for %#x, and not for %#x: %w", len(p.Code), p.Base, base, errno.ENOEXEC)
	case need > size:
		if err := m.freeExecutable(ctx, base, size); err != nil {
			return nil, err
		}
		base, size = 0, 0
		return m.placeCode(ctx, name, need, build)
	}
	if err = m.WriteMemory(base, p.Code); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		fn   string
		last uint64
	}{{"caches_clean_inval_pou", base + uint64(len(p.Code))}, {"set_memory_ro", size / m.page}, {"set_memory_x", size / m.page}} {
		if _, err = m.callInt(ctx, step.fn, base, step.last); err != nil {
			return nil, err
		}
	}
	made := placed{name: name, size: size}
	for _, s := range p.Symbols {
		made.symbols = append(made.symbols, kernelimage.Symbol{Name: s.Name, Addr: s.Addr, Size: s.Size, Func: s.Kind == asm.Func, Module: name})
	}
	m.keepCode(base, made)
	return p, nil
}

// FreeCode frees what [Machine.PlaceCode] placed at a base. Nothing executes it any more.
func (m *Machine) FreeCode(ctx context.Context, base uint64) error {
	p, ok := m.code[base]
	if !ok {
		return fmt.Errorf("free code at %#x, where none is placed: %w", base, errno.EINVAL)
	}
	n := p.size / m.page
	// The kernel's linear map of these pages is read-only too, until set_memory_rw.
	for _, fn := range []string{"set_memory_nx", "set_memory_rw"} {
		if _, err := m.callInt(ctx, fn, base, n); err != nil {
			return fmt.Errorf("free code %s: %w", p.name, err)
		}
	}
	if err := m.freeExecutable(ctx, base, p.size); err != nil {
		return err
	}
	delete(m.code, base)
	m.symbols.Remove(p.name)
	return nil
}

func (m *Machine) allocExecutable(ctx context.Context, size uint64) (uint64, error) {
	for _, f := range executableMemory {
		if _, err := m.symbols.Lookup(f.alloc); err != nil {
			continue
		}
		base, err := m.Call(ctx, f.alloc, append(append([]uint64{}, f.kind...), size)...)
		if err == nil && base == 0 {
			err = fmt.Errorf("%s of %d bytes: %w", f.alloc, size, errno.ENOMEM)
		}
		return base, err
	}
	return 0, fmt.Errorf("the kernel has no %s: %w", executableMemory[0].alloc, errno.ENOSYS)
}

// freeExecutable frees memory of allocExecutable that is writable; none where size is 0.
func (m *Machine) freeExecutable(ctx context.Context, base, size uint64) error {
	if size == 0 {
		return nil
	}
	for _, f := range executableMemory {
		if _, err := m.symbols.Lookup(f.free); err == nil {
			_, err := m.Call(ctx, f.free, base)
			return err
		}
	}
	return fmt.Errorf("the kernel has no %s: %w", executableMemory[0].free, errno.ENOSYS)
}

// zeroedMemory are the names of vzalloc, the newest kernels' first.
var zeroedMemory = []string{"vzalloc_noprof", "vzalloc"}

// Alloc allocates zeroed memory of the kernel's, whole pages of it.
func (m *Machine) Alloc(ctx context.Context, size uint64) (uint64, error) {
	for _, fn := range zeroedMemory {
		if _, err := m.symbols.Lookup(fn); err != nil {
			continue
		}
		addr, err := m.Call(ctx, fn, size)
		if err == nil && addr == 0 {
			err = fmt.Errorf("%s of %d bytes: %w", fn, size, errno.ENOMEM)
		}
		return addr, err
	}
	return 0, fmt.Errorf("the kernel has no vzalloc: %w", errno.ENOSYS)
}

// Free frees what Alloc allocated.
func (m *Machine) Free(ctx context.Context, addr uint64) error {
	_, err := m.Call(ctx, "vfree", addr)
	return err
}

// callInt calls a function that returns an int, of which a negative one is an errno.
func (m *Machine) callInt(ctx context.Context, name string, args ...uint64) (int32, error) {
	x0, err := m.Call(ctx, name, args...)
	if err != nil {
		return 0, err
	}
	if n := -int64(int32(x0)); n > 0 && n <= maxErrno {
		return 0, &SyscallError{name, n}
	}
	return int32(x0), nil
}

// callPointer calls a function that returns a pointer or an errno (ERR_PTR, include/linux/err.h).
func (m *Machine) callPointer(ctx context.Context, name string, args ...uint64) (uint64, error) {
	x0, err := m.Call(ctx, name, args...)
	if err != nil {
		return 0, err
	}
	if n := -int64(x0); n > 0 && n <= maxErrno {
		return 0, &SyscallError{name, n}
	}
	return x0, nil
}

// load64 reads doublewords of the kernel's memory.
func (m *Machine) load64(addr uint64, n int) ([]uint64, error) {
	b := make([]byte, 8*n)
	if err := m.ReadMemory(addr, b); err != nil {
		return nil, err
	}
	words := make([]uint64, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words, nil
}

// words are doublewords as they lie in memory.
func words(list ...uint64) (b []byte) {
	for _, v := range list {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
