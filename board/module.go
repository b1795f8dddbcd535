package board

import (
	"context"
	"fmt"
	"strings"

	"callops/internal/errno"
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
	_, err := m.syscall(ctx, "init_module", windowBase, uint64(len(file)), windowBase+uint64(at))
	return err
}

// UnloadModule unloads a module by its name.
func (m *Machine) UnloadModule(ctx context.Context, name string) error {
	addrs, err := m.strings(name)
	if err != nil {
		return err
	}
	_, err = m.syscall(ctx, "delete_module", addrs[0], 0)
	return err
}
