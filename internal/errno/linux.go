package errno

import (
	"errors"
	"syscall"
)

// linux are Linux's numbers (include/uapi/asm-generic/errno-base.h, errno.h), which the
// host's may differ from.
var linux = map[int64]Errno{
	1: EPERM, 2: ENOENT, 4: EINTR, 5: EIO, 7: E2BIG, 8: ENOEXEC, 9: syscall.EBADF, 11: syscall.EAGAIN, 12: ENOMEM, 13: syscall.EACCES,
	14: EFAULT, 16: EBUSY, 17: EEXIST, 18: syscall.EXDEV, 19: ENODEV, 20: syscall.ENOTDIR, 21: EISDIR, 22: EINVAL, 24: syscall.EMFILE, 25: syscall.ENOTTY,
	27: syscall.EFBIG, 28: ENOSPC, 29: syscall.ESPIPE, 30: syscall.EROFS, 32: syscall.EPIPE, 34: ERANGE, 35: EDEADLK,
	36: ENAMETOOLONG, 38: ENOSYS, 39: syscall.ENOTEMPTY, 40: ELOOP, 95: EOPNOTSUPP, 110: ETIMEDOUT, 116: ESTALE,
}

// Linux returns the host's errno for one of Linux's numbers; 0 where callops knows none.
func Linux(number int64) Errno { return linux[number] }

// LinuxNumber returns Linux's number of the errno that err matches; ok is false where it matches none.
func LinuxNumber(err error) (number int64, ok bool) {
	for n, e := range linux {
		if errors.Is(err, e) {
			return n, true
		}
	}
	return 0, false
}
