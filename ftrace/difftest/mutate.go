package difftest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"callops/emu"
	"callops/ftrace/guestcore"
	"callops/kernelimage/textdiff"
)

// Fate is what became of a mutation.
type Fate uint8

// The fates.
const (
	Survived  Fate = iota // every comparison held, and the branch was executed
	Caught                // a comparison failed
	Crashed               // the core did not return, or did not start
	Unreached             // no step executes the branch
)

var fates = [...]string{Survived: "survived", Caught: "caught", Crashed: "crashed", Unreached: "unreached"}

func (f Fate) String() string { return fates[f] }

// Outcome is what became of one inverted branch.
type Outcome struct {
	Branch
	Fate
	How   string // what differed, or the crash
	Steps int    // after which it showed
	Taken uint8  // which way it goes without the mutation: 1 on, 2 away, 3 both
}

// Campaign inverts the conditional branches of the kernel's core, one at a time, and runs a
// soak with each. So it tells how much of what a core can do wrong the comparison sees.
type Campaign struct {
	Soak        // without Mutate
	Workers int // soaks at a time; 0: GOMAXPROCS
	// Only chooses branches; nil: all.
	Only func(Branch) bool
	// Done is called after each one; nil: nobody asks.
	Done func(Outcome)
}

// callBudget bounds a call of a mutated core, in instructions: many times what any takes with
// some hundred sites.
const callBudget = 1 << 25

// Run returns what became of each branch, in address order. The core as it is has to pass.
func (c *Campaign) Run(ctx context.Context) ([]Outcome, error) {
	funcs, err := coreText(c.Image)
	if err != nil {
		return nil, err
	}
	seen, err := c.cover(ctx, funcs)
	if err != nil {
		return nil, fmt.Errorf("the core as it is: %w", err)
	}
	all, err := branches(c.Image, closure(funcs, seen))
	if err != nil {
		return nil, err
	}
	var outcomes []Outcome
	for _, b := range all {
		if c.Only == nil || c.Only(b) {
			outcomes = append(outcomes, Outcome{Branch: b, Taken: seen.at(b.PC)})
		}
	}
	return outcomes, c.each(ctx, outcomes)
}

// cover runs the soak on the core as it is.
func (c *Campaign) cover(ctx context.Context, funcs []textdiff.Text) (*coverage, error) {
	seen := newCoverage(funcs)
	_, err := c.run(ctx, true, func(cfg *Config) { cfg.onStep = seen.step })
	return seen, err
}

// each runs the soaks.
func (c *Campaign) each(ctx context.Context, outcomes []Outcome) error {
	workers := c.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	next := make(chan *Outcome)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range workers {
		wg.Go(func() {
			for o := range next {
				c.try(ctx, o)
				if c.Done != nil && ctx.Err() == nil {
					mu.Lock()
					c.Done(*o)
					mu.Unlock()
				}
			}
		})
	}
	for i := range outcomes {
		if ctx.Err() == nil {
			next <- &outcomes[i]
		}
	}
	close(next)
	wg.Wait()
	return ctx.Err()
}

// try finds out what becomes of one.
func (c *Campaign) try(ctx context.Context, o *Outcome) {
	if o.Taken == 0 {
		o.Fate = Unreached
		return
	}
	steps, err := c.run(ctx, true, func(cfg *Config) { cfg.Mutate, cfg.budget = o.invert, callBudget })
	o.Steps = steps
	var d *Difference
	switch {
	case err == nil:
		o.Fate = Survived
	case errors.As(err, &d) && !d.crash:
		o.Fate, o.How = Caught, d.What
	default:
		o.Fate, o.How = Crashed, reason(err)
	}
}

// reason is the innermost of a crash.
func reason(err error) string {
	var crash *guestcore.CrashError
	if errors.As(err, &crash) {
		err = crash.Err
	}
	if errors.Is(err, emu.ErrBudget) {
		return "a loop"
	}
	return err.Error()
}

// run applies the steps on a pair that change configures, and returns how many.
func (c *Campaign) run(ctx context.Context, kill bool, change func(*Config)) (int, error) {
	cfg, r := c.config()
	change(&cfg)
	p, err := NewPair(ctx, cfg)
	if err != nil {
		return 0, err
	}
	if err = p.compare(true); err == nil {
		err = p.runToEnd(ctx, r, c.Steps, kill)
	}
	return len(p.steps), errors.Join(err, p.Close())
}
