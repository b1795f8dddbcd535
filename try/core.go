package try

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"callops/ftrace/difftest"
	"callops/ftrace/guestcore"
	"callops/machine"
)

// How many random operations a core does, how many more in which the order of what other
// CPUs can see is compared too, and how long each may take, with the search for a short
// sequence that shows a difference. Order takes a step an instruction.
const (
	operations      = 20000
	quickOperations = 3000

	ordered      = 4000
	quickOrdered = 400

	coreTime      = 2 * time.Minute
	quickCoreTime = 15 * time.Second
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
	Ordered    int         `json:"ordered"`              // more, in which stores, barriers and waits came in one order
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
		t.worse("the kernel's own core differs from callops' in %s", d.What)
	case c.Change == Better:
		t.better("the kernel's own core does what callops' does")
	}
	return nil
}

// thing is what a difference is in, without where it begins.
func (d *Difference) thing() string {
	thing, _, _ := strings.Cut(d.What, ", from event ")
	return thing
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
	case a.Difference != nil && a.Difference.thing() == b.Difference.thing():
		return Same
	}
	return Worse
}

// agree runs the operations on a kernel. Only the end of ctx is an error.
func (t *trial) agree(ctx context.Context, b *Build) (a Agreement, err error) {
	plain, order := operations, ordered
	if t.Quick {
		plain, order = quickOperations, quickOrdered
	}
	if t.Operations > 0 {
		plain, order = t.Operations, (t.Operations+9)/10
	}
	if err := starts(ctx, b); ctx.Err() != nil {
		return a, ctx.Err()
	} else if err != nil {
		a.Failed = short(err)
		return a, nil
	}
	err = t.soak(ctx, b, &difftest.Soak{Steps: plain}, &a, &a.Operations)
	// Without CALL_OPS callops' core patches in an order of its own.
	if err == nil && a.Difference == nil && a.Failed == "" && b.Image.CallOps() {
		err = t.soak(ctx, b, &difftest.Soak{Steps: order, Order: true}, &a, &a.Ordered)
	}
	return a, err
}

// startBudget bounds ftrace_init, in instructions. On 42,069 call sites it takes 2^24.
const startBudget = 1 << 28

// starts has a kernel's own core start on all call sites (ftrace_init): operations are done on few.
func starts(ctx context.Context, b *Build) error {
	m, err := machine.New(ctx, &machine.Config{Image: b.Image, Guest: &guestcore.Options{Budget: startBudget}})
	return errors.Join(err, m.Close())
}

func (t *trial) soak(ctx context.Context, b *Build, s *difftest.Soak, a *Agreement, done *int) error {
	limit := coreTime
	if t.Quick {
		limit = quickCoreTime
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.Image, s.Seed, s.Shrink = b.Image, seed, limit/2
	s.Done = func(steps int) {
		*done = steps
		t.progress("%s: %d operations on its own core", b.Name, steps)
	}
	err := s.Run(limited)
	var d *difftest.Difference
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		*done = s.Steps
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
	return nil
}
