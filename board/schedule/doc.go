// Package schedule searches the interleavings of a booted kernel's CPUs.
//
// A [Workload] has threads of the kernel do things at the same time: one registers an ftrace_ops and unregisters it, others call the
// function that it traces. A schedule says which CPU executes how many instructions, and then which. Everything else follows: package board is
// deterministic, so a schedule that fails is a token that fails again.
//
// A [Lab] is a kernel that stands where a workload's threads are about to begin. [Lab.Run] runs one schedule from there, as a [Policy]
// chooses it, and goes back. A CPU may stop between any two instructions. What it sees is sequentially consistent: a store is seen by all
// CPUs at once, and so is changed text.
//
// What fails is the kernel's own word (WARN, BUG, an oops: the kernel is booted with panic_on_warn and oops=panic, and SLUB poisons what
// is freed), or what a [Probe] sees: a call that it should have seen and did not, or one that it should not have seen. So does a schedule that
// does not end.
//
// A Lab belongs to one goroutine.
package schedule
