// Package machine sets up a kernel to run: an image on an engine,
// its init text freed, its modules loaded, ftrace on it, and a scheduler where it
// has several CPUs. The command line, bench, check and tests begin here, so that
// each of them has the same machine, set up in the same order.
//
// The order is that of Linux: ftrace is built on a kernel whose init text is gone
// and whose modules are in memory. [New] is where to begin, [Machine.Close] where
// to end. A Machine belongs to one goroutine; what its parts may be used from is
// said there.
package machine
