// Package ftrace is the core of Linux's function tracer and its arm64 backend:
// ops, their hashes, the records of call sites, registration, and the code
// that patches sites, with CALL_OPS (each site's literal names its ops) and in
// the scheme before it (one global ops and one patched call). [Scheme] has
// two more; of these [Sets] is no Linux's: a site with several ops names a set of
// them.
//
// It follows kernel/trace/ftrace.c, include/linux/ftrace.h and
// arch/arm64/kernel/ftrace.c of Linux 6.12, and through [kernelimage.Profile]
// the patch that brought CALL_OPS as it was posted, and Linux 6.1 before it.
// Where Linux has a defect, this package has it too; [Options.FixCallOps],
// [Options.FixRegs] and [Options.FixMod] fix three; [Options.Fault] seeds others.
// fgraph has up to 16 users, as since 6.11, under every profile ([Registry.RegisterGraph]), and three defects of Linux's are not in it;
// comments that begin "Differs:" name them. Left out: trace arrays and pid filters,
// and trampolines that an architecture allocates.
//
// ops, hashes and the ops list exist in emulated memory, because the list function
// that walks them is machine code. The [Registry] keeps its own copy of what it
// wrote there, decides from that, and writes through; [Registry.Validate]
// compares the two. Memory is accessed only through [Memory], and grace periods
// are waited for only through [GracePeriods], so the same core runs live, under test and
// under a model checker.
//
// A Registry may be used from any goroutine; one lock (ftrace_lock) serialises
// its operations. A tracer written in Go runs on the CPU's goroutine and may
// use the Registry too. An anomaly on a CPU can kill ftrace without the lock, even
// while an operation waits for that CPU.
//
// A site that can't be patched kills ftrace. The operation that met it
// returns ENODEV with the [*BugError], and so does every later one. In Linux, of
// the operations that patch, only those that register an ops return it; the
// others return 0, and only a later operation fails.
//
// Kernel modules' sites join and leave with their modules, and those in init text
// leave with it: [New] subscribes to the kernel's events. Start at [New],
// [Registry.NewOps], [Registry.SetFilter] and [Registry.Register].
package ftrace
