package try

import (
	"context"
	"errors"
	"fmt"
	"time"

	"callops/ftrace/difftest"
)

// How many random operations a core does, and how long that, and the search for a short
// sequence that shows a difference, may take.
const (
	operations      = 20000
	quickOperations = 3000

	coreTime      = 2 * time.Minute
	quickCoreTime = 12 * time.Second
)

// seed is what the operations come from: the same in every run.
const seed = 1

// Core is what the kernels' own cores did, next to callops'.
type Core struct {
	Old Agreement `json:"old"`
	New Agreement `json:"new"`

	Change Change `json:"change"`
}

// Agreement is random operations on a kernel's own core and on callops', compared after
// each.
type Agreement struct {
	Operations int         `json:"operations"`           // that were done alike
	Difference *Difference `json:"difference,omitempty"` // the first; nil: there is none

	// Failed is why the kernel's core can't be run.
	Failed string `json:"failed,omitempty"`
}

// Difference is operations after which the cores are not the same.
type Difference struct {
	What    string   `json:"what"`
	Callops string   `json:"callops"`
	Kernel  string   `json:"kernel"`
	Steps   []string `json:"steps"` // the last shows it
}

// core runs random operations on each kernel's own core.
func (t *trial) core(ctx context.Context) error {
	c := &Core{}
	err := t.each(func(b *Build, isNew bool) (err error) {
		if isNew {
			c.New, err = t.agree(ctx, b)
		} else {
			c.Old, err = t.agree(ctx, b)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.Change = c.compare()
	t.report.Core = c
	switch {
	case c.Change == Worse && c.New.Failed != "":
		t.worse("the kernel's own core can't be run: %s", c.New.Failed)
	case c.Change == Worse:
		d := c.New.Difference
		t.worse("the kernel's own core differs from callops' in %s: %s, callops has %s", d.What, d.Kernel, d.Callops)
	case c.Change == Better:
		t.better("the kernel's own core does what callops' does")
	}
	return nil
}

// compare compares the two. Cores that differ from callops' in the same thing are the
// same.
func (c *Core) compare() Change {
	switch a, b := &c.Old, &c.New; {
	case a.Failed != "" || b.Failed != "":
		if a.Failed == "" {
			return Worse
		}
		return Unknown
	case a.Difference == nil && b.Difference == nil:
		return Same
	case b.Difference == nil:
		return Better
	case a.Difference != nil && a.Difference.What == b.Difference.What:
		return Same
	}
	return Worse
}

// agree runs the operations on a kernel. Only the end of ctx is an error.
func (t *trial) agree(ctx context.Context, b *Build) (Agreement, error) {
	limit, steps := coreTime, operations
	if t.Quick {
		limit, steps = quickCoreTime, quickOperations
	}
	if t.Operations > 0 {
		steps = t.Operations
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a := Agreement{}
	s := &difftest.Soak{Image: b.Image, Steps: steps, Seed: seed, Done: func(steps int) {
		a.Operations = steps
		t.progress("%s: %d operations on its own core", b.Name, steps)
	}}
	err := s.Run(limited)
	var d *difftest.Difference
	switch {
	case ctx.Err() != nil:
		return a, ctx.Err()
	case err == nil:
		a.Operations = steps
	case errors.As(err, &d):
		a.Difference = &Difference{What: d.What, Callops: d.Ours, Kernel: d.Image}
		for _, step := range d.Steps {
			a.Difference.Steps = append(a.Difference.Steps, step.String())
		}
	case limited.Err() != nil && a.Operations > 0: // as far as it came
	case limited.Err() != nil:
		a.Failed = fmt.Sprintf("its first operations do not end in %v", limit)
	default:
		a.Failed = short(err)
	}
	return a, nil
}
