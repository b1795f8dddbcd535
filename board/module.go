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
	return m.nameModules(ctx)
}

// nameModules gives the functions of modules their names, by module_get_kallsym (kernel/module/kallsyms.c), which has the symbols of all modules by number.
func (m *Machine) nameModules(ctx context.Context) error {
	const (
		value, kind, name, module, exported = 0, 8, 512, 1024, 1536 // in the window
		nameSize                            = 512                   // KSYM_NAME_LEN
		most                                = 1 << 20
	)
	var found []kernelimage.Symbol
	for i := range uint64(most) {
		_, err := m.callInt(ctx, "module_get_kallsym", i, windowBase+value, windowBase+kind, windowBase+name, windowBase+module, windowBase+exported)
		if errors.Is(err, errno.ERANGE) {
			break
		}
		if err != nil {
			return err
		}
		w := m.window()
		s := kernelimage.Symbol{Addr: binary.LittleEndian.Uint64(w[value:]), Func: w[kind]|0x20 == 't'}
		n, _, _ := bytes.Cut(w[name:][:nameSize], []byte{0})
		of, _, _ := bytes.Cut(w[module:][:nameSize], []byte{0})
		if s.Name, s.Module = string(n), string(of); s.Func {
			found = append(found, s)
		}
	}
	for _, old := range m.modules {
		m.symbols.Remove(old)
	}
	m.modules = m.modules[:0]
	slices.SortFunc(found, func(a, b kernelimage.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	for i, s := range found {
		if !slices.Contains(m.modules, s.Module) {
			m.modules = append(m.modules, s.Module)
		}
		end := (s.Addr | (m.page - 1)) + 1 // of the module's last one
		if next := i + 1; next < len(found) && found[next].Module == s.Module {
			end = found[next].Addr
		}
		found[i].Size = end - s.Addr
	}
	m.symbols.Add(found...)
	return nil
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
	return m.nameModules(ctx)
}
