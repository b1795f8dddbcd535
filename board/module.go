package board

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage"
)

// LoadModule loads a module from the bytes of its .ko file, not compressed, with params as insmod takes them, by the kernel's own
// init_module. Errors match the kernel's errno; its log says more.
func (m *Machine) LoadModule(ctx context.Context, file []byte, params string) error {
	if m.ram == nil {
		return errClosed
	}
	if strings.Contains(params, "\x00") {
		return fmt.Errorf("parameters %q, which have a NUL: %w", params, errno.EINVAL)
	}
	w := m.window()
	if len(file)+len(params)+1 > len(w) {
		return fmt.Errorf("a module of %d bytes: %w", len(file), errno.E2BIG)
	}
	at := copy(w, file)
	w[at+copy(w[at:], params)] = 0
	if _, err := m.syscall(ctx, "init_module", windowBase, uint64(len(file)), windowBase+uint64(at)); err != nil {
		return err
	}
	return m.ReadSymbols(ctx)
}

// codeLists are the kernel's functions that have the names of code loaded later, by number: a module's (kernel/module/kallsyms.c), and BPF programs
// and trampolines (kernel/bpf/core.c). What they return the name of a module in is last.
var codeLists = []struct {
	fn      string
	modules bool
}{{"module_get_kallsym", true}, {"bpf_get_kallsym", false}}

// ReadSymbols learns the names of modules' functions, which [Machine.LoadModule] does by itself, and of BPF code, as the kernel has them now.
func (m *Machine) ReadSymbols(ctx context.Context) error {
	var found []kernelimage.Symbol
	for _, list := range codeLists {
		if _, err := m.Symbol(list.fn); err != nil {
			continue
		}
		for i := range uint64(maxLoadedSymbols) {
			s, err := m.loadedSymbol(ctx, list.fn, list.modules, i)
			if errors.Is(err, errno.ERANGE) {
				break
			}
			if err != nil {
				return err
			}
			if s.Func {
				found = append(found, s)
			}
		}
	}
	for _, old := range m.loaded {
		m.symbols.Remove(old)
	}
	m.loaded = m.loaded[:0]
	slices.SortFunc(found, func(a, b kernelimage.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	for i, s := range found {
		if !slices.Contains(m.loaded, s.Module) {
			m.loaded = append(m.loaded, s.Module)
		}
		end := (s.Addr | (m.page - 1)) + 1 // of the last one
		if next := i + 1; next < len(found) && found[next].Module == s.Module {
			end = found[next].Addr
		}
		found[i].Size = end - s.Addr
	}
	m.symbols.Add(found...)
	return nil
}

const (
	maxLoadedSymbols = 1 << 20
	symbolName       = 512 // KSYM_NAME_LEN

	// BPFCode is the module that symbols of BPF programs and trampolines belong to, as /proc/kallsyms has it.
	BPFCode = "bpf"
)

// loadedSymbol asks one of the lists for a symbol by its number.
func (m *Machine) loadedSymbol(ctx context.Context, list string, module bool, number uint64) (s kernelimage.Symbol, err error) {
	const value, kind, name, of, exported = 0, 8, symbolName, 2 * symbolName, 3 * symbolName // in the window
	args := []uint64{number, windowBase + value, windowBase + kind, windowBase + name}
	if module {
		args = append(args, windowBase+of, windowBase+exported)
	}
	if _, err := m.callInt(ctx, list, args...); err != nil {
		return s, err
	}
	w := m.window()
	text := func(at int) string {
		b, _, _ := bytes.Cut(w[at:][:symbolName], []byte{0})
		return string(b)
	}
	s = kernelimage.Symbol{Name: text(name), Addr: binary.LittleEndian.Uint64(w[value:]), Func: w[kind]|0x20 == 't', Module: BPFCode}
	if module {
		s.Module = text(of)
	}
	return s, nil
}

// UnloadModule unloads a module by its name.
func (m *Machine) UnloadModule(ctx context.Context, name string) error {
	addrs, err := m.strings(name)
	if err != nil {
		return err
	}
	if _, err = m.syscall(ctx, "delete_module", addrs[0], 0); err != nil {
		return err
	}
	return m.ReadSymbols(ctx)
}
