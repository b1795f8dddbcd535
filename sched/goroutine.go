package sched

import (
	"bytes"
	"runtime"
	"strconv"
)

// goroutine returns the calling goroutine's number. Go tells it in stack traces
// only; there is no other way to detect that a task waits for itself.
func goroutine() uint64 {
	var b [64]byte
	fields := bytes.Fields(b[:runtime.Stack(b[:], false)])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[1]), 10, 64) // "goroutine 42 [running]:"
	return n
}
