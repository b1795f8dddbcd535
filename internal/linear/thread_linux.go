package linear

import (
	"syscall"
	"time"
	"unsafe"
)

// threadClock is CLOCK_THREAD_CPUTIME_ID (include/uapi/linux/time.h).
const threadClock = 3

// threadTime is how long this thread has been on a processor. What getrusage tells
// of it is rounded to ticks.
func threadTime() time.Duration {
	var ts syscall.Timespec
	if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		panic(e) // no Linux is without it
	}
	return time.Duration(ts.Nano())
}
