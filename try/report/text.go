package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"callops/internal/text"
	"callops/kernelimage/textdiff"
	"callops/try"
)

// What a page has room for: functions by name, and lines of instructions.
const (
	mostFunctions = 24
	mostLines     = 24
)

// Text writes a report as a page of text.
func Text(w io.Writer, r *try.Report) error {
	p := &page{}
	p.kernels(r)
	p.text(r.Text)
	p.costs(r)
	p.core(r.Core)
	p.verdicts(r)
	p.result(r)
	_, err := w.Write(p.Bytes())
	return err
}

type page struct{ bytes.Buffer }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) kernels(r *try.Report) {
	for _, k := range []struct {
		name string
		*try.Kernel
	}{{"old", &r.Old}, {"new", &r.New}} {
		p.line("%s  %s, %d call sites: %s", k.name, clean(k.Name), k.Sites, clean(release(k.Banner)))
	}
	for _, n := range r.Notes {
		p.line("note: %s", clean(n))
	}
}

func (p *page) text(d *textdiff.Diff) {
	p.line("\nTEXT  %s", textSummary(d))
	file := ""
	t := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	for i := range d.Changes {
		f := &d.Changes[i]
		if i == mostFunctions && len(d.Changes) > mostFunctions+1 {
			fmt.Fprintf(t, "  and %d more\n", len(d.Changes)-i)
			break
		}
		if f.File != file {
			file = f.File
			t.Flush() // into a Buffer, which takes everything
			p.line("  %s", file)
		}
		gone, added := counts(f)
		fmt.Fprintf(t, "    %s\t%s\t-%d +%d\n", clean(f.Name), grown(f.State, f.OldSize, f.NewSize), gone, added)
	}
	t.Flush()
	p.instructions(d)
	if d.Untyped != "" {
		p.line("  structures were not compared: %s", clean(d.Untyped))
	}
	for i := range d.Structures {
		s := &d.Structures[i]
		p.line("  struct %s: %s%s", clean(s.Name), grown(s.State, uint64(s.OldSize), uint64(s.NewSize)), fieldNames(s))
	}
}

// instructions writes the first lines that differ.
func (p *page) instructions(d *textdiff.Diff) {
	left, total := mostLines, 0
	for i := range d.Changes {
		f := &d.Changes[i]
		total += len(f.Lines)
		if left > 0 && f.State == textdiff.Changed {
			p.line("\n  %s", clean(f.Name))
			for _, l := range f.Lines[:min(left, len(f.Lines))] {
				p.line("    %s", instruction(&l))
			}
			left -= len(f.Lines)
		}
	}
	if total > mostLines {
		p.line("    ... --format json has all %d lines", total)
	}
}

// instruction is a line of a listing: the offset, and the instruction.
func instruction(l *textdiff.Line) string {
	at := l.New
	if l.Op == textdiff.OldOnly {
		at = l.Old
	}
	return fmt.Sprintf("%s +%#-5x %s", l.Op, at, clean(l.Text))
}

// fieldNames lists what differs in a structure.
func fieldNames(s *textdiff.Structure) string {
	var names []string
	for _, f := range s.Fields {
		switch {
		case f.NewDecl == "":
			names = append(names, "-"+f.Name)
		case f.OldDecl == "":
			names = append(names, fmt.Sprintf("+%s at %s", f.Name, f.NewPlace))
		case f.OldPlace != f.NewPlace:
			names = append(names, fmt.Sprintf("%s from %s to %s", f.Name, f.OldPlace, f.NewPlace))
		default:
			names = append(names, fmt.Sprintf("%s is now %s", f.Name, f.NewDecl))
		}
	}
	const most = 6
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + clean(strings.Join(names, ", "))
}

func (p *page) costs(r *try.Report) {
	p.line("\nCOST  of a traced call of %s, in instructions", clean(r.Costs.Tracee))
	t := tabwriter.NewWriter(p, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "relevant\tirrelevant\tflags\told\tnew\tchange\tof it ftrace_caller\t")
	for i := range r.Costs.Rows {
		c := &r.Costs.Rows[i]
		flags := c.Flags
		if flags == "" {
			flags = "-"
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", c.Relevant, c.Irrelevant, flags, costCell(&c.Old), costCell(&c.New), costChange(c), trampoline(c))
	}
	t.Flush()
}

// trampoline is what of a cost is ftrace_caller's, on both kernels.
func trampoline(c *try.Cost) string {
	if c.New.Failed != "" || c.Old.Failed != "" {
		return "-"
	}
	if c.Old.Trampoline == c.New.Trampoline {
		return fmt.Sprint(c.New.Trampoline)
	}
	return fmt.Sprintf("%d -> %d", c.Old.Trampoline, c.New.Trampoline)
}

func (p *page) verdicts(r *try.Report) {
	p.line("\nPROOF  %s", verdictSummary(r))
	t := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	for _, v := range changed(r) {
		fmt.Fprintf(t, "  %s\t%s -> %s\n", v.Name, outcome(&v.Old), outcome(&v.New))
	}
	t.Flush()
	if len(r.LeftOut) > 0 {
		p.line("  left out: %s", leftOut(r))
	}
	if v := firstBroken(r); v != nil {
		p.line("")
		_ = v.New.Counterexample.WriteText(p) // a Buffer takes everything
	}
}

// leftOut lists the scenarios that were not searched.
func leftOut(r *try.Report) string {
	var searched []string
	for i := range r.Verdicts {
		searched = append(searched, r.Verdicts[i].Name)
	}
	return text.Families(r.LeftOut, searched)
}

// firstBroken is the verdict with the counterexample that is shown: the shortest.
func firstBroken(r *try.Report) (best *try.Verdict) {
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if v.New.Counterexample != nil && (best == nil || len(v.New.Counterexample.Steps) < len(best.New.Counterexample.Steps)) {
			best = v
		}
	}
	return best
}

func (p *page) core(c *try.Core) {
	if c == nil {
		return
	}
	p.line("\nCORE  %s", clean(coreSummary(c)))
	if c.Change == try.Worse && c.New.Difference != nil {
		p.WriteString(sequence(c.New.Difference))
	}
}

func (p *page) result(r *try.Report) {
	p.line("")
	for _, b := range r.Better {
		p.line("better: %s", clean(b))
	}
	if len(r.Worse) == 0 {
		p.line("%s.", summary(r))
	}
	for _, b := range r.Worse {
		p.line("WORSE: %s", clean(b))
	}
}
