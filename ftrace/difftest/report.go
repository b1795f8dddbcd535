package difftest

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Tally is how many branches met each fate.
type Tally [len(fates)]int

// Of returns how many met a fate.
func (t *Tally) Of(f Fate) int { return t[f] }

// Reached is how many were executed.
func (t *Tally) Reached() int { return t[Survived] + t[Caught] + t[Crashed] }

// Share is the part of the reached ones that showed, from 0 to 1.
func (t *Tally) Share() float64 {
	if t.Reached() == 0 {
		return 0
	}
	return float64(t[Caught]+t[Crashed]) / float64(t.Reached())
}

// Count counts outcomes.
func Count(outcomes []Outcome) (t Tally) {
	for _, o := range outcomes {
		t[o.Fate]++
	}
	return t
}

// Report writes a table of the functions in Markdown, then what was not caught, a line each.
func Report(w io.Writer, outcomes []Outcome) error {
	t := Count(outcomes)
	tw := tabwriter.NewWriter(w, 0, 1, 1, ' ', 0)
	row := func(name string, n int, t *Tally) {
		fmt.Fprintf(tw, "| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t|\n", name, n, t.Of(Caught), t.Of(Crashed), t.Of(Survived), t.Of(Unreached))
	}
	fmt.Fprint(tw, "| function\t| branches\t| caught\t| crashed\t| survived\t| unreached\t|\n|---\t|---:\t|---:\t|---:\t|---:\t|---:\t|\n")
	for from, to := 0, 0; from < len(outcomes); from = to {
		for to < len(outcomes) && outcomes[to].Func == outcomes[from].Func {
			to++
		}
		of := Count(outcomes[from:to])
		row("`"+outcomes[from].Func+"`", to-from, &of)
	}
	row("all", len(outcomes), &t)
	if err := tw.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%d of %d reached branches, %.1f %%\n\n", t.Reached()-t.Of(Survived), t.Reached(), 100*t.Share()); err != nil {
		return err
	}
	for _, o := range outcomes {
		if o.Fate > Survived {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-9s  %-50s  %s\n", o.Fate, o.Branch, o.Text()); err != nil {
			return err
		}
	}
	return nil
}
