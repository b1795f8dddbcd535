// Package kernelimage describes what callops runs: what an image is, where its
// call sites and symbols are, and its structures' layout.
//
// An [Image] never changes: [Builtin] assembles one, [Open] and [Parse] read one
// from an ELF file, or from a kernel's raw Image as installed in /boot, compressed or
// not, recognising by the words at the sites which of arm64's call-site layouts it was
// built with. [New] makes one from parts that are in no file. Package kernelimage/module reads and links the files of kernel modules, and package kernel puts
// both into memory.
//
// It follows Linux 6.12: the compiler's side of call sites as in
// arch/arm64/kernel/ftrace.c (ftrace_call_adjust), symbols as in
// kernel/kallsyms.c. Every offset of a kernel structure is in one
// [Layout].
//
// Left out on purpose: everything of an ELF file that running its functions does
// not need. Package ftrace patches call sites; here a
// site is as the compiler left it.
//
// An Image may be used from any goroutine.
package kernelimage
