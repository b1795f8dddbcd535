package try

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"callops/bench"
	"callops/internal/errno"
	"callops/kernelimage"
)

// calls is how many calls a row makes. Counts are exact for any number.
const calls = 100

// budget bounds a call, in instructions: far more than any row takes. What needs more does
// not end.
const budget = 1 << 20

// group is rows that are measured at once: each number of relevant ops with each of
// irrelevant ones.
type group struct {
	flags                string
	relevant, irrelevant []int
}

// groups are the rows published for Linux, and what the protection of a func costs.
var groups = []group{
	{"", []int{1}, []int{0, 1, 10, 100}},
	{"", []int{2, 10, 100}, []int{0}},
	{"recursion", []int{1, 2}, []int{0}},
	{"rcu", []int{1, 2}, []int{0}},
}

// costs measures all rows on both kernels.
func (t *trial) costs(ctx context.Context) error {
	tracee, irrelevant, err := t.functions()
	if err != nil {
		return err
	}
	c := &t.report.Costs
	c.Tracee, c.Allow = tracee, t.Allow
	for _, g := range groups {
		for _, r := range g.relevant {
			for _, i := range g.irrelevant {
				c.Rows = append(c.Rows, Cost{Relevant: r, Irrelevant: i, Flags: g.flags})
			}
		}
	}
	err = t.each(func(b *Build, isNew bool) error {
		t.progress("%s: what a traced call costs", b.Name)
		rows := c.Rows
		for _, g := range groups {
			n := len(g.relevant) * len(g.irrelevant)
			measured, err := t.measure(ctx, b.Image, &g, tracee, irrelevant)
			if err != nil {
				return err
			}
			for i := range rows[:n] {
				if isNew {
					rows[i].New = measured[i]
				} else {
					rows[i].Old = measured[i]
				}
			}
			rows = rows[n:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range c.Rows {
		t.judgeCost(&c.Rows[i])
	}
	return nil
}

func (t *trial) judgeCost(c *Cost) {
	by, ok := c.Rise()
	switch {
	case ok && by > t.Allow:
		t.worse("a traced call costs %g instructions more with %v: %g, was %g", by, c, c.New.Overhead, c.Old.Overhead)
	case ok && by < 0:
		t.better("a traced call costs %g instructions less with %v: %g, was %g", -by, c, c.New.Overhead, c.Old.Overhead)
	case c.New.Failed != "" && c.Old.Failed == "":
		t.worse("a traced call fails with %v: %s", c, c.New.Failed)
	case c.Old.Failed != "" && c.New.Failed == "":
		t.better("a traced call does not fail any more with %v", c)
	}
}

// functions chooses two functions that do nothing, and are in both kernels.
func (t *trial) functions() (tracee, irrelevant string, err error) {
	const most = 256
	there := make(map[string]bool)
	for _, s := range t.New.Image.EmptyFuncs(most) {
		there[s.Name] = true
	}
	var common []string
	for _, s := range t.Old.Image.EmptyFuncs(most) {
		if there[s.Name] && !slices.Contains(common, s.Name) && t.unique(s.Name) {
			common = append(common, s.Name)
		}
		if len(common) == 2 {
			return common[0], common[1], nil
		}
	}
	return "", "", fmt.Errorf("no two functions that do nothing are in both kernels, to trace: %w", errno.ENOENT)
}

// unique reports whether one function has the name, in each of the kernels.
func (t *trial) unique(name string) bool {
	for _, img := range []*kernelimage.Image{t.Old.Image, t.New.Image} {
		if len(img.SymbolTable().Called(name)) != 1 {
			return false
		}
	}
	return true
}

// measure measures the rows of a group on a kernel. Where that fails it measures each
// alone, to tell which of them fail.
func (t *trial) measure(ctx context.Context, img *kernelimage.Image, g *group, tracee, irrelevant string) ([]Measured, error) {
	var list []Measured
	res, err := t.bench(ctx, img, g, tracee, irrelevant)
	if err == nil {
		for _, row := range res.Rows[1:] { // after the one without ops
			list = append(list, Measured{Overhead: row.Overhead, Trampoline: row.Trampoline})
		}
		return list, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(g.relevant)*len(g.irrelevant) == 1 {
		return []Measured{{Failed: short(err)}}, nil
	}
	for _, r := range g.relevant {
		for _, i := range g.irrelevant {
			one, err := t.measure(ctx, img, &group{g.flags, []int{r}, []int{i}}, tracee, irrelevant)
			if err != nil {
				return nil, err
			}
			list = append(list, one...)
		}
	}
	return list, nil
}

func (t *trial) bench(ctx context.Context, img *kernelimage.Image, g *group, tracee, irrelevant string) (*bench.Result, error) {
	flags, err := bench.ParseOpsFlags(g.flags)
	if err != nil {
		return nil, err
	}
	return bench.Run(ctx, &bench.Config{
		Image: img, Engines: []bench.Engine{t.Engine}, ImageTrampolines: true, Tracee: tracee, Irrelevant: irrelevant,
		Relevant: g.relevant, IrrelevantCounts: g.irrelevant, Calls: calls, Budget: budget, OpsFlags: flags,
	})
}

// short is an error on one line.
func short(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
