package board

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"callops/internal/errno"
)

// SyscallError is what a system call, or a function of the kernel that returns an errno, returned when it failed. It matches the errno.
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

// systemCalls are those that the host makes, with their numbers (include/uapi/asm-generic/unistd.h).
var systemCalls = map[string]uint64{
	"mkdirat": 34, "unlinkat": 35, "mount": 40, "ftruncate": 46, "fchmodat": 53, "fchownat": 54, "openat": 56, "close": 57, "pipe2": 59,
	"getdents64": 61, "lseek": 62, "read": 63, "write": 64, "ppoll": 73, "splice": 76, "newfstatat": 79, "init_module": 105,
	"delete_module": 106, "sched_setaffinity": 122, "bpf": 280,
}

// syscall makes a system call as a process, by what the kernel does for SVC and before it returns to user mode (arch/arm64/kernel/syscall.c,
// entry-common.c): events of the call are seen.
func (m *Machine) syscall(ctx context.Context, name string, args ...uint64) (uint64, error) {
	// Above the call's own stack.
	regs := m.init.Regs().SP - redZone + sizeofRegs
	if err := m.WriteMemory(regs, userRegs(systemCalls[name], args)); err != nil {
		return 0, err
	}
	if _, err := m.Call(ctx, "do_el0_svc", regs); err != nil {
		return 0, err
	}
	result, err := m.load64(regs, 1)
	if err != nil {
		return 0, err
	}
	if _, err := m.Call(ctx, "task_work_run"); err != nil {
		return 0, err
	}
	if n := -int64(result[0]); n > 0 && n <= maxErrno {
		return 0, &SyscallError{name, n}
	}
	return result[0], nil
}

// Offsets in struct pt_regs (arch/arm64/include/asm/ptrace.h), which begins with X0 to X30 in all versions.
const (
	sizeofRegs = 512 // at least
	numberAt   = 8   // of the system call, in doublewords
)

// userRegs is struct pt_regs of a system call with these arguments.
func userRegs(number uint64, args []uint64) []byte {
	var regs [sizeofRegs / 8]uint64
	copy(regs[:], args)
	regs[numberAt] = number
	var b []byte
	for _, v := range regs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// strings puts strings into the window, and returns their addresses.
func (m *Machine) strings(list ...string) ([]uint64, error) {
	if m.ram == nil {
		return nil, errClosed
	}
	w, at := m.window(), 0
	addrs := make([]uint64, len(list))
	for i, s := range list {
		if len(s) >= maxPath {
			return nil, fmt.Errorf("a string of %d bytes: %w", len(s), errno.ENAMETOOLONG)
		}
		if strings.Contains(s, "\x00") {
			return nil, fmt.Errorf("%q, which has a NUL: %w", s, errno.EINVAL)
		}
		addrs[i] = windowBase + uint64(at)
		at += copy(w[at:], s)
		w[at] = 0
		at++
	}
	return addrs, nil
}

// UserMemory copies data to where system calls take it for a process's, whichever thread makes them, and returns the address. What it held
// before is lost; so is this at the host's next system call.
func (m *Machine) UserMemory(data []byte) (uint64, error) {
	w := m.window()
	switch {
	case w == nil:
		return 0, errClosed
	case len(data) > len(w):
		return 0, fmt.Errorf("%d bytes of a process: %w", len(data), errno.E2BIG)
	}
	copy(w, data)
	return windowBase, nil
}
