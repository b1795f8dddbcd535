//go:build unix

package hostmem

import "syscall"

// OpenNoWait is an open flag: not to wait at a FIFO for a writer.
const OpenNoWait = syscall.O_NONBLOCK
