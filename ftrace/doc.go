// Package ftrace is the core of Linux's function tracer and its arm64 backend:
// ops, their hashes, the records of call sites, registration, and the code
// that patches sites, with CALL_OPS (each site's literal names its ops) and in
// the scheme before it (one global ops and one patched call).
//
// It follows kernel/trace/ftrace.c, include/linux/ftrace.h and
// arch/arm64/kernel/ftrace.c of Linux 6.12, and through [kernelimage.Profile]
// the patch that brought CALL_OPS as it was posted, and Linux 6.1 before it.
// Where Linux has a defect, so has this package; [Options.FixCallOps] is the
// exception. Left out: subops (the function graph managers), trampolines that
// an architecture allocates, and modules.
//
// ops, hashes and the ops list exist in emulated memory, for the list function
// that walks them is machine code. The [Registry] keeps its own copy of what it
// wrote there, decides from that, and writes through; [Registry.Validate]
// compares the two. Text and data are touched through [Text] only, grace
// periods through [GracePeriods] only, so the same core runs live, under test
// and under a model checker.
//
// A Registry may be used from any goroutine; one lock (ftrace_lock) serialises
// its operations. A tracer written in Go runs on the CPU's goroutine and may
// use the Registry too.
//
// Start at [New], [Registry.NewOps], [Registry.SetFilter] and
// [Registry.Register].
package ftrace
