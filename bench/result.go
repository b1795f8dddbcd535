package bench

import "callops/ftrace"

// Result is what Run measured. Its JSON form is stable.
type Result struct {
	Tracee string `json:"tracee"`
	Calls  int    `json:"calls"` // made for each row, by each CPU
	CPUs   int    `json:"cpus"`

	// Code is whose ftrace ran: trampolines, list function and ops.
	Code Code `json:"code"`

	// Core is whose core registered ops: the image's own where CodeImage.
	Core Code `json:"core"`

	Rows []Row `json:"rows"` // by engine, then scheme, then as asked

	// Registration is there when it was asked for.
	Registration []Registration `json:"registration,omitempty"`

	// Sets is there where it was, and Sets is among the schemes: what many different sets
	// take, for several limits.
	Sets []SetCost `json:"sets,omitempty"`

	Irrelevant string `json:"-"` // the function that irrelevant ops were on, "" where no row has any
	Tracer     string `json:"-"`

	// AsSample reports whether the figures of real kernels were measured the
	// same way.
	AsSample bool `json:"-"`
}

// Code is whose ftrace a result was measured on.
type Code string

// The ftraces there are.
const (
	CodeCallops Code = "callops" // callops' own
	CodeImage   Code = "image"   // that which is in the image
)

// Row is one scenario under one engine and scheme. What is per
// call is in instructions.
type Row struct {
	Engine     string        `json:"engine"`
	Scheme     ftrace.Scheme `json:"scheme"`
	CallOps    bool          `json:"call_ops"`   // sites have literals
	Relevant   int           `json:"relevant"`   // ops on the tracee
	Irrelevant int           `json:"irrelevant"` // ops elsewhere

	// PerCall is the call loop, the tracee and all that is traced. Overhead is
	// that less the same engine's and scheme's row without any ops.
	PerCall  float64 `json:"per_call"`
	Overhead float64 `json:"overhead"`

	// Trampoline is how many of the instructions of one traced call are
	// ftrace_caller's; 0 where the tracee is not traced.
	Trampoline int `json:"trampoline"`

	NsPerCall float64 `json:"ns_per_call"` // wall clock, of the emulation

	// Callbacks is how often tracers ran, as they counted it in memory; 0 with
	// TracerNop, which does not count.
	Callbacks uint64 `json:"callbacks"`
}
