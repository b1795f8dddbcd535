package model

import (
	"slices"

	"callops/check/event"
	"callops/ftrace"
	"callops/kernelimage"
	"callops/trampolines"
)

// Fault is something wrong that is built into the machine on purpose. The zero
// value is none.
type Fault struct {
	Trampoline trampolines.Fault
	Core       ftrace.Fault
	Image      func(*kernelimage.Parts) error
	Preempts   bool // it shows only where tasks can be preempted
	LiveInit   bool // call sites are prepared while CPUs run

	// Code changes the machine code of an image's own core; nil where the fault can't be made
	// there.
	Code func(c *Code) error

	// Steps changes what callops' core does in one operation.
	Steps func(m *Machine, steps []Step) []Step
}

// OnlyCode reports whether the fault can be made in an image's own core alone.
func (f *Fault) OnlyCode() bool {
	return f.Code != nil && f.Steps == nil && f.Core == ftrace.NoFault && f.Trampoline == trampolines.NoFault
}

func (f *Fault) apply(m *Machine, steps []Step) []Step {
	if f.Steps == nil || m.guest != nil {
		return steps
	}
	return f.Steps(m, steps)
}

// NopOps is the address of ftrace_nop_ops.
func (m *Machine) NopOps() uint64 { return m.r.Code().NopOps }

// StoresTable reports whether a step has an ops' direct calls looked up in another table.
func (m *Machine) StoresTable(s *Step) bool {
	off := uint64(m.r.Code().Layout.Ops.DirectCall)
	return s.Kind == event.Store && slices.ContainsFunc(m.ops, func(o *ftrace.Ops) bool { return s.Addr == o.Addr()+off })
}

// CallbackFrees returns what the callback of a step of CallRCU frees, as steps
// that free it at once.
func (m *Machine) CallbackFrees(s *Step) []Step {
	var frees []Step
	for _, o := range m.rec.calls[s.Call] {
		frees = append(frees, o.free())
	}
	return frees
}
