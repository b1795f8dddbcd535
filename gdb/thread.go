package gdb

import (
	"callops/emu"
)

// Signals, by the numbers of the protocol (gdb/signals.def).
const (
	sigNone = 0
	sigInt  = 2
	sigIll  = 4
	sigTrap = 5
	sigSegv = 11
)

// action is what the debugger has a thread do.
type action uint8

const (
	stay action = iota
	step        // one instruction, or one store of Go code
	run
	stepBack
	runBack
)

func (a action) reverse() bool { return a >= stepBack }

// thread is what gdb shows as one: a CPU, or an operation of ftrace's core that a monitor command began. Stub.mu
// guards it.
type thread struct {
	id   int
	name string

	cpu    emu.Debuggable // nil: Go code only
	action action

	// What it is doing. A thread that is neither runs Go code.
	running bool // guest code
	parked  bool // it is between two instructions, or before a store, and waits for the debugger

	seen    emu.Regs // where it was last, for a thread that is in Go code
	stepped bool     // what its step was for has been done
	pending *stop    // that the debugger has not been told of
	waits   string   // the grace period that an operation of the core waits in; "": none
}

// stop is why a thread stopped.
type stop struct {
	signal int
	reason string // of the stop reply, such as "swbreak:;"
}

// registers returns the thread's registers, and whether they can be written.
func (t *thread) registers() (*emu.Regs, bool) {
	if t.parked && t.cpu != nil {
		return t.cpu.Regs(), true
	}
	return &t.seen, false
}
