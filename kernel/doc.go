// Package kernel runs images: a [Kernel] is an image in guest memory, with CPUs,
// tasks, per-CPU areas, stacks, a heap and the modules that it has loaded.
//
// [Boot] makes one of a [kernelimage.Image] on an engine. Its functions are called
// with [Kernel.Call], code that was assembled by hand is placed with
// [Kernel.PlaceCode], and kernel modules are loaded with [Kernel.LoadModule] and
// unloaded with [Kernel.Unload], as kernel/module/main.c does.
// [Kernel.FreeInitMem] is the last step of booting. A module's load or unload,
// and freed init text, is an [Event], which others subscribe to through [Kernel.Subscribe].
//
// It follows Linux 6.12: the first words of a task as in
// arch/arm64/include/asm/thread_info.h, per-CPU areas as in mm/percpu.c, names of
// addresses as in kernel/kallsyms.c. Every offset of a structure is in the image's
// Layout.
//
// Left out on purpose: page tables (addresses are used as they are), and the
// kernel's own start-up: none of it has run. Package ftrace patches call sites.
//
// [Symbols] is safe for concurrent use. A [Kernel] is set up by one goroutine;
// then each of its CPUs belongs to one goroutine at a time.
package kernel
