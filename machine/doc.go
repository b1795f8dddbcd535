// Package machine sets up a kernel to run: an image on an engine,
// its init text freed, its modules loaded, ftrace on it, and a scheduler where it
// has several CPUs. The command line, bench, check and tests all use it, so
// they have the same machine, set up in the same order.
//
// The order is that of Linux: ftrace is built on a kernel whose init text is gone
// and whose modules are in memory. Start at [New], and end with
// [Machine.Close]. A Machine belongs to one goroutine; the documentation of its
// parts gives the rules for each.
package machine
