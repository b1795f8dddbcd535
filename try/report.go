package try

import (
	"fmt"
	"slices"

	"callops/check"
	"callops/check/property"
	"callops/kernelimage/textdiff"
)

// Report is what came of a comparison. Its JSON form is stable.
type Report struct {
	Old   Kernel   `json:"old"`
	New   Kernel   `json:"new"`
	Notes []string `json:"notes"` // what is noteworthy about the pair

	Text     *textdiff.Diff `json:"text"`
	Costs    Costs          `json:"costs"`
	Core     *Core          `json:"core"`
	Patcher  Patcher        `json:"patcher"` // whose core patches while scenarios are searched
	Verdicts []Verdict      `json:"verdicts"`
	LeftOut  []string       `json:"left_out"` // scenarios that are for other kernels

	// Worse is what held and does not any more, and costs that rose by more than is
	// allowed, a sentence each. Better is the other way round.
	Worse  []string `json:"worse"`
	Better []string `json:"better"`
}

// Kernel is one of the two.
type Kernel struct {
	Name     string `json:"name"`
	Banner   string `json:"banner"`
	CallOps  bool   `json:"call_ops"`
	PageSize uint64 `json:"page_size"`
	Sites    int    `json:"sites"` // without those in init text
}

// Patcher is whose core patches.
type Patcher string

// The cores that there are.
const (
	PatcherImage   Patcher = "image"   // each kernel's own
	PatcherCallops Patcher = "callops" // callops', with the kernels' own trampolines
)

// Costs are what traced calls cost, in instructions.
type Costs struct {
	Tracee string  `json:"tracee"`
	Allow  float64 `json:"allow"` // by how much a cost may rise
	Rows   []Cost  `json:"rows"`
}

// Cost is the overhead of a traced call, in instructions, with some ops registered.
type Cost struct {
	Relevant   int    `json:"relevant"`   // ops on the function that is called
	Irrelevant int    `json:"irrelevant"` // ops on another
	Flags      string `json:"flags"`      // of the ops, "" or as bench --ops-flags takes them

	Old Measured `json:"old"`
	New Measured `json:"new"`
}

// Measured is a cost on one kernel.
type Measured struct {
	Overhead   float64 `json:"overhead"`
	Trampoline int     `json:"trampoline"` // of it, the instructions of ftrace_caller

	// Failed is why there is none: what the kernel's code did.
	Failed string `json:"failed,omitempty"`
}

// Rise is by how much the cost rose; ok is false where one of them failed.
func (c *Cost) Rise() (by float64, ok bool) {
	return c.New.Overhead - c.Old.Overhead, c.Old.Failed == "" && c.New.Failed == ""
}

func (c *Cost) String() string {
	s := fmt.Sprintf("%d relevant and %d irrelevant ops", c.Relevant, c.Irrelevant)
	if c.Flags != "" {
		s += " with flag " + c.Flags
	}
	return s
}

// Outcome is what the search of a scenario found.
type Outcome string

// Outcomes. Broken is also what Linux is known to break there.
const (
	Holds   Outcome = "holds"
	Broken  Outcome = "broken"
	Bounded Outcome = "bounded" // no verdict: the search needed more memory than there is
	Failed  Outcome = "failed"  // the kernel's code did not run to the end
)

// Verdict is a scenario on both kernels.
type Verdict struct {
	Name string `json:"name"`
	Old  Found  `json:"old"`
	New  Found  `json:"new"`

	// Change is what came of the change.
	Change Change `json:"change"`
}

// Found is the outcome on one kernel.
type Found struct {
	Outcome  Outcome           `json:"outcome"`
	Property property.Property `json:"property,omitzero"` // that is broken
	Finding  check.Finding     `json:"finding,omitempty"` // the known one that this is
	States   int               `json:"states"`
	Failed   string            `json:"failed,omitempty"`

	// Counterexample is there for what the change breaks.
	Counterexample *check.Counterexample `json:"counterexample,omitempty"`
}

// Change is how a verdict changed.
type Change string

// Changes of verdicts.
const (
	Same    Change = "same"
	Worse   Change = "worse"
	Better  Change = "better"
	Unknown Change = "unknown" // a search had no verdict
)

// change compares two outcomes. Another property than before counts as one that held.
func change(old, now *Found) Change {
	bad := func(f *Found) bool { return f.Outcome == Broken || f.Outcome == Failed }
	switch {
	case old.Outcome == Bounded || now.Outcome == Bounded:
		if bad(now) && !bad(old) {
			return Worse // whatever the other would have found
		}
		return Unknown
	case bad(now) && !bad(old):
		return Worse
	case bad(old) && !bad(now):
		return Better
	case old.Outcome == Failed && now.Outcome == Broken:
		return Better
	case old.Outcome != now.Outcome || old.Property != now.Property:
		return Worse
	}
	return Same
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
