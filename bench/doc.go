// Package bench measures what a traced call costs: in instructions, with CALL_OPS
// and with the scheme before it, for any number of ops on the function that is
// called and on others.
//
// It follows samples/ftrace/ftrace-ops.c of Linux 6.12: a loop calls one
// function, the tracee, while "relevant" ops are registered on it and
// "irrelevant" ones on another function that the loop never reaches. The loop
// and the tracers are machine code, so the engine executes and counts
// everything that a call costs. Nothing is estimated, and no constant is
// subtracted: the loop's own set-up is measured by a run of the loop with 0
// calls, and the rest are its iterations.
//
// Left out on purpose: the timing of hardware. ns_per_call is
// the wall-clock time of an emulator and the only figure that differs between runs.
// Of the sample's parameters there is no persist.
//
// [Run] measures the rows of a [Config] and returns a [Result], which package
// bench/report renders as a table, JSON, CSV or SVG. Each Run makes kernels of its own;
// several may run at once.
package bench
