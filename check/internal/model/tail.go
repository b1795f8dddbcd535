package model

import (
	"slices"

	"callops/check/internal/guest"
)

// A call has parts: the function that is called, and those that are entered by tail calls from there,
// numbered from 0.

// tailArg is what TailCaller is called with. Each tail call passes one less, and at 0 is_odd returns 0.
const tailArg = 1

// hasTail reports whether a task calls a function that tail-calls another.
func (sc *Scenario) hasTail() bool {
	return slices.ContainsFunc(sc.Tasks, func(t Task) bool { return slices.Contains(t.Calls, TailCaller) })
}

// entriesOf is where calls of ops number i for a part of a call are counted, and returnsOf where returns are.
func (sc *Scenario) entriesOf(i, part int) int { return 2*part*len(sc.Ops) + i }
func (sc *Scenario) returnsOf(i, part int) int { return sc.entriesOf(i, part) + len(sc.Ops) }

// tails reports whether a function is TailCaller.
func (m *Machine) tails(fn uint64) bool {
	if !m.sc.hasTail() {
		return false
	}
	addr, _ := m.k.Func(m.names[TailCaller])
	return fn == addr
}

// parts are the functions that a call of fn enters, one after another.
func (m *Machine) parts(fn uint64) []uint64 {
	if !m.tails(fn) {
		return []uint64{fn}
	}
	callee, _ := m.k.Func(m.names[TailCallee])
	return []uint64{fn, callee}
}

// part is the number of the part of the call that has a call site, 0 if none has it.
func (m *Machine) part(v *guest.Visit, ip uint64) int {
	return max(0, slices.IndexFunc(m.parts(v.Func()), func(fn uint64) bool { return m.sites[fn] == ip }))
}

// siteOf is the call site of a part of the call.
func (m *Machine) siteOf(v *guest.Visit, part int) uint64 { return m.sites[m.parts(v.Func())[part]] }

// args are what functions are called with, as guest.Config has it.
func (m *Machine) args() map[uint64]uint64 {
	if !m.sc.hasTail() {
		return nil
	}
	caller, _ := m.k.Func(m.names[TailCaller])
	return map[uint64]uint64{caller: tailArg}
}

// arg is what x0 holds where a part of a call of fn is entered.
func (m *Machine) arg(fn uint64, part int) uint64 {
	if m.tails(fn) {
		return tailArg - uint64(part)
	}
	return guest.Entry(0)
}

// result is what a call of fn returns: what its last part is passed.
func (m *Machine) result(fn uint64) uint64 { return m.arg(fn, len(m.parts(fn))-1) }
