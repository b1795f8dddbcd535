// Package services stands in for the parts of a Linux kernel that need it to be
// booted: a Go function is called in the place of a function of the kernel.
//
// The table of what is replaced by what is in table.go. A function is replaced
// under its exact name, and only where one function has it: a clone that the
// compiler made (.constprop, .isra, .part) takes other arguments. What an image
// does not have is not replaced, so that one table serves all versions.
//
// The replaced function keeps its call site: the branch that leaves it comes after
// the two words that ftrace patches, and the function can be traced as before. The
// branch leads to a veneer, as in a module's PLT, and the veneer to a gate; both
// are text of the kernel itself. They execute at most six instructions.
//
// kmalloc and what goes with it are on the kernel's heap, which poisons freed
// objects; printk's lines go to a handler. The other allocators end the call with a
// [NoAllocatorError].
//
// It follows mm/ and kernel/printk/printk.c of Linux 6.1 to 7.x. Left out on
// purpose: pages, caches of objects, locks, RCU and clocks; docs/services.md says what
// that means for a caller.
//
// [Install] is where to begin. It belongs to the goroutine that sets the kernel
// up; what it installs runs on the goroutine of each CPU.
package services
