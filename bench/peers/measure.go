package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Two runs of each peer, the second of so many times the repetitions. The longer one takes this long at least, in CPU time,
// and no more repetitions are ever made.
const (
	longer  = 5
	mostRun = 1 << 40
)

// contender is a peer with a program to run.
type contender struct {
	name    string
	run     func(ctx context.Context, n uint64) (result, error)
	n       uint64 // repetitions of the shorter run
	insns   uint64 // that the longer one has more
	perInsn []time.Duration
	err     error // why it is out
}

// measure runs a workload's program under all peers, so many rounds, and returns what they took.
func measure(ctx context.Context, w *workload, p *program, list []peer, rounds int, least time.Duration, dir string) ([]*contender, error) {
	count, err := counter(ctx, w, p, list[0], dir)
	if err != nil {
		return nil, err
	}
	var all []*contender
	for i := range list {
		c := &contender{name: list[i].name}
		if c.run, c.err = list[i].prepare(p, dir); c.err == nil {
			c.err = c.calibrate(ctx, least, count)
		}
		all = append(all, c)
	}
	for range rounds {
		for _, c := range all {
			if c.err == nil {
				c.err = c.round(ctx)
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
		}
	}
	return all, nil
}

// counter returns how many instructions n repetitions have, by executing some. What a loop is known to have, it has.
func counter(ctx context.Context, w *workload, p *program, first peer, dir string) (func(n uint64) (insns uint64, exit uint8, err error), error) {
	run, err := first.prepare(p, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", first.name, err)
	}
	const some = 64
	var counts [2]uint64
	for i, n := range []uint64{some, 2 * some} {
		r, err := run(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("%s under %s: %w", w.name, first.name, err)
		}
		counts[i] = r.count
	}
	each := counts[1] - counts[0]
	if w.loop != 0 && each != some*w.loop {
		return nil, fmt.Errorf("%s: %d instructions in %d loops of %d", w.name, each, some, w.loop)
	}
	return func(n uint64) (uint64, uint8, error) {
		r, err := run(ctx, n)
		return r.count, r.exit, err
	}, nil
}

// calibrate finds how often the peer repeats the workload in a run that takes long enough, and checks its result.
func (c *contender) calibrate(ctx context.Context, least time.Duration, count func(n uint64) (uint64, uint8, error)) error {
	n := uint64(64)
	if err := c.agrees(ctx, n, count); err != nil { // before it runs for long
		return err
	}
	for {
		r, err := c.run(ctx, n*longer)
		if err != nil {
			return err
		}
		if r.cpu >= least || n > mostRun {
			break
		}
		n *= min(max(uint64(least/max(r.cpu, time.Millisecond)), 2), 16)
	}
	n -= n % 64 // whole calls of the kernel's functions
	c.n = n
	short, _, err := count(n)
	if err != nil {
		return err
	}
	long, _, err := count(n * longer)
	if err != nil {
		return err
	}
	c.insns = long - short
	return cmp.Or(c.agrees(ctx, n, count), c.agrees(ctx, n*longer, count))
}

// agrees checks that n repetitions have the result that they have under callops.
func (c *contender) agrees(ctx context.Context, n uint64, count func(n uint64) (uint64, uint8, error)) error {
	_, exit, err := count(n)
	if err != nil {
		return err
	}
	r, err := c.run(ctx, n)
	if err == nil && r.exit != exit {
		err = fmt.Errorf("%d repetitions gave %d, callops %d", n, r.exit, exit)
	}
	return err
}

func (c *contender) round(ctx context.Context) error {
	short, err := c.run(ctx, c.n)
	if err != nil {
		return err
	}
	long, err := c.run(ctx, c.n*longer)
	if err != nil {
		return err
	}
	// In picoseconds: a loop may take less than a nanosecond an instruction.
	c.perInsn = append(c.perInsn, (long.cpu-short.cpu)*1000/time.Duration(c.insns))
	return nil
}

// spread is the least, the median and the most of the rounds, in ns per instruction.
func (c *contender) spread() (least, median, most float64) {
	s := slices.Sorted(slices.Values(c.perInsn))
	ns := func(i int) float64 { return float64(s[i]) / 1000 }
	return ns(0), ns(len(s) / 2), ns(len(s) - 1)
}
