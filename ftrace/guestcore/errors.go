package guestcore

import (
	"fmt"
	"strings"

	"callops/internal/errno"
)

// StatusError is what a function of the kernel returned, other than 0.
type StatusError struct {
	Func   string
	Status int32 // negative: Linux's number of an errno
}

func (e *StatusError) Error() string {
	if errno := e.errno(); errno != 0 {
		return fmt.Sprintf("%s returned %d: %v", e.Func, e.Status, errno)
	}
	return fmt.Sprintf("%s returned %d", e.Func, e.Status)
}

// Is reports whether target is the errno of that number.
func (e *StatusError) Is(target error) bool {
	errno := e.errno()
	return errno != 0 && target == errno
}

func (e *StatusError) errno() errno.Errno { return errno.Linux(-int64(e.Status)) }

// CrashError is a function of the kernel that did not return: it faulted, looped, reached
// a BUG() or asked for what callops has no service for. The core's locks are as it left
// them, so nothing more is asked of it: later operations return the same error, which
// matches ENODEV.
type CrashError struct {
	Func string
	Args []uint64
	Err  error // of kernel.Call
}

func (e *CrashError) Error() string {
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = fmt.Sprintf("%#x", a)
	}
	return fmt.Sprintf("the kernel's %s(%s) did not return: %v", e.Func, strings.Join(args, ", "), e.Err)
}

func (e *CrashError) Unwrap() error { return e.Err }

// Is reports ENODEV.
func (e *CrashError) Is(target error) bool { return target == errno.ENODEV }

// CorruptError is what the core keeps in memory, and is not as the core keeps it. It
// matches EFAULT.
type CorruptError struct {
	What string
	Addr uint64
	Msg  string
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s at %#x: %s", e.What, e.Addr, e.Msg) }

// Is reports EFAULT.
func (e *CorruptError) Is(target error) bool { return target == errno.EFAULT }

// MissingError names what a kernel has to have for its own core to run. It
// matches ENOENT.
type MissingError struct {
	Image string
	Names []string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s has no %s, which its own ftrace core needs", e.Image, strings.Join(e.Names, ", "))
}

// Is reports ENOENT.
func (e *MissingError) Is(target error) bool { return target == errno.ENOENT }
