package difftest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"callops/emu"
	"callops/ftrace/guestcore"
	"callops/kernelimage"
)

// Fate is what became of a mutation.
type Fate uint8

// The fates.
const (
	Unreached Fate = iota // no step executes the branch
	Survived              // every comparison held
	Caught                // a comparison failed
	Crashed               // the core did not return, or did not start
)

var fates = [...]string{Unreached: "unreached", Survived: "survived", Caught: "caught", Crashed: "crashed"}

func (f Fate) String() string { return fates[f] }

// Outcome is what became of one inverted branch.
type Outcome struct {
	Branch
	Fate
	How   string // what differed, or the crash
	Round int    // in which it showed, from 0
	Steps int    // of that round, after which it showed
}

// Campaign inverts the conditional branches of the kernel's core, one at a time, and applies
// random steps with each. So it tells how much of what a core can do wrong the comparison
// sees.
type Campaign struct {
	Image   *kernelimage.Image
	Modules []string // files of modules that come and go
	Steps   int      // of the longest round
	Seed    uint64
	Workers int // machines at a time; 0: GOMAXPROCS
	// Only chooses branches; nil: all.
	Only func(Branch) bool
	// Done is called after each one; nil: nobody asks.
	Done func(Outcome)
}

// rounds are the runs that a mutation has to pass, each with other steps: a part of
// Campaign.Steps, then the end of ftrace. What shows at once, or only then, shows in the short ones.
// Comparing the order takes time, and is left for what the others do not catch.
var rounds = []struct {
	part        int
	kill, order bool
}{
	{part: 8, kill: true}, {part: 8}, {part: 8}, {part: 1, kill: true}, {part: 1},
	{part: 2, order: true}, {part: 2, kill: true, order: true},
}

// callBudget bounds a call of a mutated core, in instructions: many times what any takes with
// some hundred sites.
const callBudget = 1 << 25

// Run returns what became of each branch of the functions that the steps execute, and of what
// these call, in address order. The core as it is has to pass.
func (c *Campaign) Run(ctx context.Context) ([]Outcome, error) {
	funcs, err := coreText(c.Image)
	if err != nil {
		return nil, err
	}
	all := newCoverage(funcs)
	covered := make([]*coverage, len(rounds))
	for i := range rounds {
		covered[i] = newCoverage(funcs)
		if _, err := c.run(ctx, i, func(cfg *Config) { cfg.onStep, cfg.Order = covered[i].step, false }); err != nil {
			return nil, fmt.Errorf("the core as it is: %w", err)
		}
		all.add(covered[i])
	}
	list, err := branches(c.Image, closure(funcs, all))
	if err != nil {
		return nil, err
	}
	var outcomes []Outcome
	for _, b := range list {
		if c.Only == nil || c.Only(b) {
			outcomes = append(outcomes, Outcome{Branch: b})
		}
	}
	return outcomes, c.each(ctx, outcomes, covered)
}

// each tries the branches.
func (c *Campaign) each(ctx context.Context, outcomes []Outcome, covered []*coverage) error {
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
				for i := range rounds {
					if o.Fate <= Survived && covered[i].at(o.PC) != 0 {
						c.try(ctx, o, i)
					}
				}
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

// try finds out what becomes of one in a round that executes it.
func (c *Campaign) try(ctx context.Context, o *Outcome, round int) {
	steps, err := c.run(ctx, round, func(cfg *Config) { cfg.Mutate, cfg.budget = o.invert, callBudget })
	o.Round, o.Steps = round, steps
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

// reason is how the core crashed.
func reason(err error) string {
	var d *Difference
	if errors.As(err, &d) {
		return d.Image
	}
	var crash *guestcore.CrashError
	if errors.As(err, &crash) {
		err = crash.Err
	}
	if errors.Is(err, emu.ErrBudget) {
		return "a loop"
	}
	return err.Error()
}

// run applies the steps of a round on a pair that change configures, and returns how many.
func (c *Campaign) run(ctx context.Context, round int, change func(*Config)) (int, error) {
	s := &Soak{Image: c.Image, Modules: c.Modules, Seed: c.Seed + uint64(round), Order: rounds[round].order}
	cfg, r := s.config()
	change(&cfg)
	p, err := NewPair(ctx, cfg)
	if err != nil {
		return 0, err
	}
	if err = p.compare(true); err == nil {
		err = p.runToEnd(ctx, r, c.Steps/rounds[round].part, rounds[round].kill)
	}
	return len(p.steps), errors.Join(err, p.Close())
}
