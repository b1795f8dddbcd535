package board

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"callops/internal/errno"
)

// SyscallError is what a system call returned that failed. It matches the errno.
type SyscallError struct {
	Name   string
	Number int64 // Linux's
}

func (e *SyscallError) Error() string {
	if n := errno.Linux(e.Number); n != 0 {
		return e.Name + ": " + n.Error()
	}
	return fmt.Sprintf("%s: errno %d", e.Name, e.Number)
}

// Is reports whether target is the errno of that number, or one of package fs that it stands for.
func (e *SyscallError) Is(target error) bool {
	n := errno.Linux(e.Number)
	return n != 0 && errors.Is(n, target)
}

// maxErrno is MAX_ERRNO (include/linux/err.h).
const maxErrno = 4095

// syscall makes a system call of the first process, whose numbers and addresses are Linux's. It follows
// invoke_syscall and what the kernel does before it returns to user mode (arch/arm64/kernel/syscall.c, entry-common.c).
func (m *Machine) syscall(ctx context.Context, name string, args ...uint64) (uint64, error) {
	// The registers as they were in user mode lie at the stack's end for the kernel; here, where the call's
	// own frames do not reach.
	regs := m.init.Regs().SP - redZone/2
	for i := range 8 {
		v := uint64(0)
		if i < len(args) {
			v = args[i]
		}
		if err := m.WriteMemory(regs+8*uint64(i), binary.LittleEndian.AppendUint64(nil, v)); err != nil {
			return 0, err
		}
	}
	result, err := m.Call(ctx, "__arm64_sys_"+name, regs)
	if err != nil {
		return 0, err
	}
	if _, err := m.Call(ctx, "task_work_run"); err != nil {
		return 0, err
	}
	if n := -int64(result); n > 0 && n <= maxErrno {
		return 0, &SyscallError{name, n}
	}
	return result, nil
}

// strings puts strings into the window, and returns their addresses.
func (m *Machine) strings(list ...string) ([]uint64, error) {
	w, at := m.window(), 0
	addrs := make([]uint64, len(list))
	for i, s := range list {
		if len(s) >= maxPath {
			return nil, fmt.Errorf("a string of %d bytes: %w", len(s), errno.EINVAL)
		}
		addrs[i] = windowBase + uint64(at)
		at += copy(w[at:], s)
		w[at] = 0
		at++
	}
	return addrs, nil
}
