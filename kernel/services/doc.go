// Package services substitutes for the parts of a Linux kernel that only work once
// it is booted: it replaces functions of the kernel with Go functions.
//
// The table of replacements is in table.go. A function is replaced
// under its exact name, and only where one function has it: a clone that the
// compiler made (.constprop, .isra, .part) takes other arguments. Names that an
// image lacks are skipped, so one table serves all versions.
//
// The replaced function keeps its call site: the branch that leaves it comes after
// the two words that ftrace patches, and the function can be traced as before. The
// branch leads to a veneer, as in a module's PLT, and the veneer to a gate; both
// are text of the kernel itself. They execute at most six instructions.
//
// kmalloc and its variants allocate from the kernel's heap, which poisons freed
// objects; printk's lines go to a handler. The other allocators end the call with a
// [NoAllocatorError].
//
// It follows mm/ and kernel/printk/printk.c of Linux 6.1 to 7.x. Left out on
// purpose: pages, caches of objects, locks, RCU and clocks; docs/services.md describes what
// that means for a caller.
//
// Start at [Install]. It belongs to the goroutine that sets the kernel
// up; what it installs runs on the goroutine of each CPU.
package services
