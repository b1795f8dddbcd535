// Package tracedat writes a recording as trace.dat, the file of trace-cmd and
// KernelShark, version 6 or 7 (trace-cmd.dat.v6(5), trace-cmd.dat.v7(5)).
//
// What such a file holds is what trace-cmd finds in tracefs: the formats of events,
// the kernel's symbols, the names of tasks, and for each CPU the pages of its ring
// buffer. Events that Linux has too have Linux's formats. Those that it has not are
// callops:patch and callops:insn.
//
// Times are instructions: the clock is called "counter", and readers print its values
// as they are. What function_graph takes for nanoseconds are instructions too, so a
// duration of 1 us is 1,000 of them.
package tracedat
