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
// Allocators allocate from the kernel's heap, which poisons freed objects, pages from a part of
// the linear map, and per-CPU variables; printk's lines
// go to a handler. Grace periods, IPIs and stores to text go through small interfaces, and so do
// tasks that sleep: [GracePeriods], [Interrupts], [TextWriter] and [Tasks]. Package machine has a
// scheduler behind them, and a checker its own; with none, CPUs take turns and each has one task.
// What they did is a stream of [Event]. What is missing ends the call with a
// [NoAllocatorError] or a [MissingError].
//
// It follows mm/, kernel/printk/printk.c, kernel/rcu/, kernel/smp.c, kernel/stop_machine.c, kernel/locking/ and
// arch/arm64/kernel/patching.c of Linux 6.1 to 7.x. Left out on purpose: zones, vmap,
// clocks, timers, work queues and threads; docs/services.md describes what that means
// for a caller.
//
// Start at [Install]. It belongs to the goroutine that sets the kernel
// up; what it installs runs on the goroutine of each CPU.
package services
