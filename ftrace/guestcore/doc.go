// Package guestcore runs the kernel's own ftrace core: its machine code registers ops,
// keeps hashes and records, and decides how sites are patched, in the place of package
// ftrace's Registry. So a change to kernel/trace/ftrace.c or arch/arm64/kernel/ftrace.c is
// tried on the kernel that has it.
//
// It calls the functions that kernel code calls (register_ftrace_function,
// ftrace_set_filter and the like, include/linux/ftrace.h), in a kernel in which package
// kernel/services stands in for what is not booted, and reads the core's records and
// list from its memory. Control files are printed by the kernel's own seq_file code.
//
// A core that loops, faults or reaches a BUG() is a result: the operation returns a
// [*CrashError] with the place. What the kernel returns is a [*StatusError]
// with its errno.
//
// Left out: of trace arrays all but what their filters' control files use; ops are not placed in
// the kernel's .bss.
//
// Start at [New], before init text is freed. A Core may be used from any goroutine.
package guestcore
