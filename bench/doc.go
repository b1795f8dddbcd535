// Package bench measures what a traced call costs: in instructions, with CALL_OPS
// and with the scheme before it, for any number of ops on the function that is
// called and on others.
//
// It follows samples/ftrace/ftrace-ops.c of Linux 6.12: a loop calls one
// function, the tracee, while "relevant" ops are registered on it and
// "irrelevant" ones on another function that the loop never reaches. The loop
// and the tracers are machine code, so all that a call costs is executed and
// counted by the engine. Nothing is estimated, and no constant is taken off:
// what the loop's own set-up executes is measured by calling the loop for 0
// calls, and the rest is its iterations.
//
// Left out on purpose: what hardware makes of the instructions. ns_per_call is
// the wall clock of an emulator and the only figure that differs between runs.
// Of the sample's parameters there is no persist.
//
// [Run] measures the rows of a [Config] and gives a [Result], which package
// bench/report renders as a table, JSON, CSV or SVG. Each Run makes kernels of its own;
// several may run at once.
package bench
