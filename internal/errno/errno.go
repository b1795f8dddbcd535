// Package errno holds the error numbers by which callops' errors are told
// apart, under their kernel names.
//
// They are those of package syscall, which has them on every host, Windows and
// js/wasm included; golang.org/x/sys/unix has them on Unix alone, where
// errors.Is(err, unix.EINVAL) and errors.Is(err, errno.EINVAL) are the same
// question. Their numerical values are the host's. A guest's numbers are
// Linux's wherever callops runs, and are not converted by this package.
package errno

import "syscall"

// Errno is an error number of the host.
type Errno = syscall.Errno

// The errors that callops returns.
const (
	E2BIG        = syscall.E2BIG
	EBUSY        = syscall.EBUSY
	EDEADLK      = syscall.EDEADLK
	EEXIST       = syscall.EEXIST
	EFAULT       = syscall.EFAULT
	EINTR        = syscall.EINTR
	EINVAL       = syscall.EINVAL
	EIO          = syscall.EIO
	EISDIR       = syscall.EISDIR
	ELOOP        = syscall.ELOOP
	ENAMETOOLONG = syscall.ENAMETOOLONG
	ENODEV       = syscall.ENODEV
	ENOENT       = syscall.ENOENT
	ENOEXEC      = syscall.ENOEXEC
	ENOMEM       = syscall.ENOMEM
	ENOSPC       = syscall.ENOSPC
	ENOSYS       = syscall.ENOSYS
	EOPNOTSUPP   = syscall.EOPNOTSUPP
	EPERM        = syscall.EPERM
	ERANGE       = syscall.ERANGE
	ESTALE       = syscall.ESTALE
	ETIMEDOUT    = syscall.ETIMEDOUT
)
