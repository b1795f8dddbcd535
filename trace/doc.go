// Package trace reads what tracers have recorded, and writes it as Linux's
// tracefs does.
//
// Everything that is recorded is an [Event] of a [Recording], whatever it tells of.
// A [Ring] is made for a CPU of a booted kernel and filled there by
// trampolines' tracers, which are machine code; reading it changes nothing in the
// guest. [WriteFunctions] and [WriteGraph] write the text of the trace file, [WriteProfile] that of
// trace_stat.
package trace
