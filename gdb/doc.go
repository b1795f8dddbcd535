// Package gdb lets gdb debug what runs on a machine: the stub of gdb's remote serial protocol.
//
// A [Stub] stands between the machine and its engine. Its CPUs execute what the engine's do, and stop where the
// debugger wants: at breakpoints, which change no text, at accesses that watchpoints are for, those of
// ftrace's core in Go included, after an instruction, or for ^C. All of them stop then. A CPU is a thread; so is an
// operation of the core that a monitor command began, which stops before and after a store.
//
// On a machine with one CPU and no scheduler execution can go back. What guest code did is executed again from a
// checkpoint; what Go code did in between (gates, the core, the debugger) is kept as what it changed, and put back and
// forth. Go's own state stays that of the present, so in the past everything can be read and nothing changed.
//
// It follows gdb's manual, appendix E, as of gdb 13. Left out: extended mode, non-stop mode, several processes,
// tracepoints, agent expressions, floating-point registers (no engine has any).
//
// What a debugger sends is untrusted: packets are bounded, and answered by an error where they make no sense. But
// whoever may connect can change all of the guest. [Listen] listens on loopback unless told otherwise.
//
// Start at [New], [Stub.Engine], [Stub.Attach] and [Stub.Serve].
package gdb
