package bench

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
)

// Result is what Run measured. Its JSON form is stable.
type Result struct {
	Tracee string `json:"tracee"`
	Calls  int    `json:"calls"` // made for each row, by each CPU
	CPUs   int    `json:"cpus"`
	Rows   []Row  `json:"rows"` // by engine, then mode, then as asked

	// Registration is there when it was asked for.
	Registration []Registration `json:"registration,omitempty"`

	Irrelevant string `json:"-"` // the function that irrelevant ops were on
	Tracer     string `json:"-"`

	// asSample: the figures of real kernels were measured the same way.
	asSample bool
}

// Row is one scenario under one engine, with or without CALL_OPS. What is per
// call is in instructions.
type Row struct {
	Engine     string `json:"engine"`
	CallOps    bool   `json:"call_ops"`
	Relevant   int    `json:"relevant"`   // ops on the tracee
	Irrelevant int    `json:"irrelevant"` // ops elsewhere

	// PerCall is the call loop, the tracee and all that is traced. Overhead is
	// that less the same engine's and mode's row without any ops.
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

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// csvColumns are named as in JSON.
var csvColumns = []string{
	"engine", "call_ops", "relevant", "irrelevant", "per_call", "overhead", "trampoline", "ns_per_call", "callbacks",
}

// WriteCSV writes the rows, below a line with the columns' names.
func (r *Result) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	records := [][]string{csvColumns}
	for i := range r.Rows {
		records = append(records, r.Rows[i].record())
	}
	return c.WriteAll(records)
}

func (r *Row) record() []string {
	return []string{
		r.Engine, strconv.FormatBool(r.CallOps), strconv.Itoa(r.Relevant), strconv.Itoa(r.Irrelevant),
		number(r.PerCall), number(r.Overhead), strconv.Itoa(r.Trampoline), number(r.NsPerCall),
		strconv.FormatUint(r.Callbacks, 10),
	}
}

// number writes as many digits as the value has.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
