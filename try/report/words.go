package report

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"callops/internal/text"
	"callops/kernelimage/textdiff"
	"callops/try"
)

// The sentences that text and Markdown have in common.

// summary is the verdict on the change, in a sentence.
func summary(r *try.Report) string {
	switch n := len(r.Worse); {
	case n == 1:
		return "Worse: " + r.Worse[0]
	case n > 1:
		return fmt.Sprintf("Worse in %d ways", n)
	}
	return "Nothing that held breaks, and no cost rises" + allowed(r)
}

func allowed(r *try.Report) string {
	if r.Costs.Allow == 0 {
		return ""
	}
	return " by more than " + number(r.Costs.Allow)
}

// number writes a whole number as one, any other with two digits more.
func number(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 2, 64), ".00")
}

func textSummary(d *textdiff.Diff) string {
	count := map[textdiff.State]int{}
	for i := range d.Changes {
		count[d.Changes[i].State]++
	}
	s := fmt.Sprintf("%d of %d functions of ftrace are the same", d.Same, d.Functions)
	for _, state := range []textdiff.State{textdiff.Changed, textdiff.New, textdiff.Gone} {
		if n := count[state]; n > 0 {
			s += fmt.Sprintf(", %d %s", n, state)
		}
	}
	return s
}

// grown is how the size of a function or a structure changed, in bytes.
func grown(state textdiff.State, old, now uint64) string {
	switch {
	case state == textdiff.New:
		return fmt.Sprintf("new, %d bytes", now)
	case state == textdiff.Gone:
		return fmt.Sprintf("gone, was %d bytes", old)
	case old == now:
		return fmt.Sprintf("%d bytes", now)
	}
	return fmt.Sprintf("%d -> %d bytes", old, now)
}

// counts is how many instructions of a function are no more, and how many are new.
func counts(f *textdiff.Function) (gone, added int) {
	for i := range f.Lines {
		switch f.Lines[i].Op {
		case textdiff.OldOnly:
			gone++
		case textdiff.NewOnly:
			added++
		}
	}
	return gone, added
}

// costCell is a cost on one kernel.
func costCell(m *try.Measured) string {
	if m.Failed != "" {
		return "fails"
	}
	return number(m.Overhead)
}

// costChange is the last column of the costs.
func costChange(c *try.Cost) string {
	switch by, ok := c.Rise(); {
	case !ok:
		return "?"
	case by == 0:
		return "="
	case by > 0:
		return "+" + number(by)
	default:
		return number(by)
	}
}

// ops is the number of ops of a row, with their flags.
func ops(c *try.Cost) string {
	s := fmt.Sprintf("%d relevant, %d irrelevant", c.Relevant, c.Irrelevant)
	if c.Flags != "" {
		s += ", " + c.Flags
	}
	return s
}

// outcome is a verdict on one kernel in a few words.
func outcome(f *try.Found) string {
	switch {
	case f.Finding != 0:
		return f.Finding.String()
	case f.Outcome == try.Broken:
		return "BROKEN: " + f.Property.String()
	case f.Outcome == try.Failed:
		return "FAILS"
	}
	return string(f.Outcome)
}

// verdictSummary counts the outcomes on the new kernel.
func verdictSummary(r *try.Report) string {
	count := map[string]int{}
	for i := range r.Verdicts {
		f := &r.Verdicts[i].New
		switch {
		case f.Finding != 0 && r.Verdicts[i].Change == try.Same:
			count["findings"]++
		case f.Outcome == try.Broken:
			count["broken"]++
		default:
			count[string(f.Outcome)]++
		}
	}
	scenarios := "scenarios"
	if len(r.Verdicts) == 1 {
		scenarios = "scenario"
	}
	s := fmt.Sprintf("%d %s, %s core patches", len(r.Verdicts), scenarios, map[try.Patcher]string{
		try.PatcherImage: "each kernel's own", try.PatcherCallops: "callops'",
	}[r.Patcher])
	sep := ": "
	for _, c := range []struct{ name, says string }{
		{string(try.Holds), "hold"}, {"findings", "show a known finding"}, {"broken", "broken"}, {string(try.Failed), "failed"},
		{string(try.Bounded), "too large for the memory"},
	} {
		if n := count[c.name]; n > 0 {
			s += fmt.Sprintf("%s%d %s", sep, n, c.says)
			sep = ", "
		}
	}
	return s
}

// changed are the verdicts that are not the same, or that failed on both.
func changed(r *try.Report) (list []*try.Verdict) {
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; v.Change != try.Same || v.New.Outcome == try.Failed {
			list = append(list, v)
		}
	}
	return list
}

// agreement is what came of the operations on a kernel's own core.
func agreement(a *try.Agreement) string {
	switch {
	case a.Failed != "":
		return "can't be run: " + a.Failed
	case a.Difference != nil:
		return fmt.Sprintf("differs in %s after %d operations", a.Difference.What, len(a.Difference.Steps))
	}
	s := fmt.Sprintf("does what callops' does in %d operations", a.Operations)
	if a.Ordered > 0 {
		s += fmt.Sprintf(", and in the same order in %d more", a.Ordered)
	}
	return s
}

// coreSummary is both cores in a sentence.
func coreSummary(c *try.Core) string {
	a, b := agreement(&c.Old), agreement(&c.New)
	if a == b {
		return "each kernel's own core " + a
	}
	return fmt.Sprintf("the old kernel's own core %s; the new one's %s", a, b)
}

// sequence is the operations that show a difference, a line each.
func sequence(d *try.Difference) string {
	var b strings.Builder
	for i, step := range d.Steps {
		fmt.Fprintf(&b, "%6d  %s\n", i+1, clean(step))
	}
	fmt.Fprintf(&b, "%s\n", clean(d.What))
	for _, side := range []struct{ name, has string }{{"kernel", d.Kernel}, {"callops", d.Callops}} {
		for line := range strings.Lines(strings.TrimSpace(side.has)) {
			fmt.Fprintf(&b, "  %-8s %s\n", side.name, clean(line))
		}
	}
	return b.String()
}

// banner is what linux_banner has: the release, who built it with what, and the build.
var banner = regexp.MustCompile(`^(Linux version \S+) \(.*\) (#.*)$`)

// release is a banner without builder and compiler.
func release(s string) string { return banner.ReplaceAllString(s, "$1 $2") }

func clean(s string) string { return text.Printable(strings.TrimSpace(s)) }
