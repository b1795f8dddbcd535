package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"callops/check"
	"callops/check/property"
)

// outcome is the result of a search.
type outcome struct {
	job
	result *check.Result
	growth growth
}

// broken reports whether a property is broken.
func (o *outcome) broken() bool { return len(o.result.Violations) > 0 }

// unexpected reports whether a scenario differs from what is known. A bounded
// search that found nothing is no verdict.
func (o *outcome) unexpected() bool { return !o.result.OK() && (o.result.Complete || o.broken()) }

// missed reports whether a mutation was not found although it should be, or the reverse.
func (o *outcome) missed() bool { return o.broken() != (o.mutation.Harmless == "") }

// finding reports whether the broken property is a known finding in Linux.
func (o *outcome) finding() bool { return o.broken() && o.result.OK() }

// verdict is the outcome in a word.
func (o *outcome) verdict() string {
	switch {
	case o.finding():
		return "finding"
	case o.broken():
		return "BROKEN"
	case !o.result.Complete:
		return "bounded by " + o.result.Bound
	case o.result.Finding != check.NoFinding:
		return "NO FINDING"
	}
	return "holds"
}

// found returns in a word whether a mutation was found, and the claim that it breaks.
func (o *outcome) found() (found, claim string) {
	switch harmless := o.mutation.Harmless; {
	case o.broken() && harmless != "":
		return "YES", o.result.Violations[0].Claim
	case o.broken():
		return "yes", o.result.Violations[0].Claim
	case !o.result.Complete:
		return "bounded", ""
	case harmless != "":
		return "harmless", harmless
	}
	return "NO", ""
}

func (o *outcome) steps() int {
	if !o.broken() {
		return 0
	}
	return len(o.result.Violations[0].Steps)
}

// checkTable prints a line for each search when it has ended.
type checkTable struct {
	w         io.Writer
	mutations bool
	lines     int
	first     int // width of the first column
	second    int // and of the second
}

func newCheckTable(w io.Writer, jobs []job) *checkTable {
	t := &checkTable{w: w, first: len("SCENARIO"), second: len("SCENARIO")}
	for i := range jobs {
		if jobs[i].mutation != nil {
			t.mutations = true
			t.second = max(t.second, len(jobs[i].scenario))
		}
		t.first = max(t.first, len(jobs[i].name()))
	}
	if !t.mutations {
		t.second = len("bounded by memory")
	}
	return t
}

func (t *checkTable) head() {
	if t.mutations {
		fmt.Fprintf(t.w, "%-*s  %-*s  %-8s  %5s  %7s  PROPERTY\n", t.first, "MUTATION", t.second, "SCENARIO", "FOUND", "STEPS", "SECONDS")
		return
	}
	fmt.Fprintf(t.w, "%-*s  %-*s  %4s  %10s  %11s  %5s  %7s\n", t.first, "SCENARIO", t.second, "VERDICT",
		"CPUS", "STATES", "TRANSITIONS", "DEPTH", "SECONDS")
}

// line prints a search, the first one after the head.
func (t *checkTable) line(o *outcome) {
	if t.lines++; t.lines == 1 {
		t.head()
	}
	r := o.result
	if !t.mutations {
		fmt.Fprintf(t.w, "%-*s  %-*s  %4d  %10d  %11d  %5d  %7.2f\n", t.first, o.name(), t.second, o.verdict(),
			r.CPUs, r.States, r.Transitions, r.Depth, r.Seconds)
		return
	}
	found, claim := o.found()
	fmt.Fprintf(t.w, "%-*s  %-*s  %-8s  %5d  %7.2f  %s\n", t.first, o.name(), t.second, o.scenario, found, o.steps(), r.Seconds, cmp.Or(claim, "-"))
}

// mutationInfo is a mutation in JSON.
type mutationInfo struct {
	Name     string            `json:"name"`
	Scenario string            `json:"scenario"`
	Found    bool              `json:"found"`
	Harmless string            `json:"harmless,omitempty"`
	Complete bool              `json:"complete"`
	Bound    string            `json:"bound,omitempty"`
	Property property.Property `json:"property"`
	Steps    int               `json:"steps"`
	Seconds  float64           `json:"seconds"`
	Token    string            `json:"token"`

	Violations []*check.Counterexample `json:"violations"`
}

// writeFound writes the results as JSON.
func writeFound(w io.Writer, found []outcome) error {
	if found[0].mutation == nil {
		list := []*check.Result{}
		for i := range found {
			list = append(list, found[i].result)
		}
		return printJSON(w, map[string]any{"scenarios": list})
	}
	list := []mutationInfo{}
	for i := range found {
		o := &found[i]
		m := mutationInfo{
			Name: o.mutation.Name, Scenario: o.scenario, Found: o.broken(), Harmless: o.mutation.Harmless,
			Complete: o.result.Complete, Bound: o.result.Bound, Steps: o.steps(), Seconds: o.result.Seconds,
			Violations: o.result.Violations,
		}
		for _, v := range o.result.Violations {
			m.Property, m.Token = v.Property, v.Token
		}
		list = append(list, m)
	}
	return printJSON(w, map[string]any{"mutations": list})
}

// known lists everything that can be named on the command line.
type known struct {
	Scenarios []knownScenario `json:"scenarios"`
	Mutations []knownMutation `json:"mutations"`
}

type knownScenario struct {
	Name    string        `json:"name"`
	About   string        `json:"about"`
	Finding check.Finding `json:"finding,omitempty"`
}

type knownMutation struct {
	Name     string `json:"name"`
	About    string `json:"about"`
	Scenario string `json:"scenario"`
	Harmless string `json:"harmless,omitempty"`
}

func (c *checkFlags) printList(w io.Writer) error {
	var k known
	for _, s := range check.Scenarios() {
		k.Scenarios = append(k.Scenarios, knownScenario{s.Name, s.About, s.Finding})
	}
	for _, m := range check.Mutations() {
		k.Mutations = append(k.Mutations, knownMutation{m.Name, m.About, m.Scenario, m.Harmless})
	}
	if c.format.value == formatJSON {
		return printJSON(w, k)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENARIO\tWHAT HAPPENS")
	for _, s := range k.Scenarios {
		about := s.About
		if s.Finding != check.NoFinding {
			about += fmt.Sprintf("; %s: %s", s.Finding, s.Finding.Breaks().Claim())
		}
		fmt.Fprintf(t, "%s\t%s\n", s.Name, about)
	}
	fmt.Fprintln(t, "\nMUTATION\tSCENARIO\tWHAT IS WRONG")
	for _, m := range k.Mutations {
		about := m.About
		if m.Harmless != "" {
			about += "; harmless: " + m.Harmless
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", m.Name, m.Scenario, about)
	}
	return t.Flush()
}
