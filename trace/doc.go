// Package trace reads what tracers have recorded, and writes it as Linux's
// tracefs does.
//
// A [Ring] is made for a CPU of a booted kernel and filled there by
// trampolines' function tracer, which is machine code; reading it changes
// nothing in the guest. [Functions] is the text of the trace file.
package trace
