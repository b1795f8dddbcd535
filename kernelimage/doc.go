// Package kernelimage holds the kernels that callops runs: what an image is,
// where its call sites and symbols are, and how it is loaded into guest memory
// with a task and a per-CPU area for each CPU.
//
// An [Image] is a description and never changes: [Builtin] assembles one,
// [Open] and [Parse] read one from an ELF file, or from a kernel's raw Image as
// it lies in /boot, packed or not, finding out by its words which of arm64's
// call-site layouts it was built with. [Boot] makes a running
// [Kernel] of it, into which code that was assembled by hand is placed with
// [Kernel.LoadModule] and whose functions are called with [Kernel.Call].
// [Kernel.LoadKo] loads kernel modules, as kernel/module/main.c and
// arch/arm64/kernel/module.c do.
//
// It follows Linux 6.12: the compiler's side of call sites as in
// arch/arm64/kernel/ftrace.c (ftrace_call_adjust), names and sizes of symbols
// as in kernel/kallsyms.c, the first words of a task as in
// arch/arm64/include/asm/thread_info.h. Every offset of a kernel structure is
// in one [Layout].
//
// Left out on purpose: page tables (addresses are used as they are), a
// scheduler, and everything of an ELF file that running its functions does not
// need. What is patched at a call site is package ftrace's business; here a
// site is as the compiler left it.
//
// An Image may be used from any goroutine. [Symbols] is safe for concurrent
// use. A [Kernel] is set up by one goroutine; then each of its CPUs belongs to
// one goroutine at a time.
package kernelimage
