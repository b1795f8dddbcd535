package schedule

import (
	"context"
	"fmt"
	"strings"

	"callops/internal/errno"
)

// SearchOptions say which schedules are run; the zero value is usable.
type SearchOptions struct {
	Schedules int // 1000 when 0; for Preemptions none when 0: all of them
	Seed      uint64

	// Policy makes the policy of a seed. nil: [Lab.Policy]
	Policy func(seed uint64) Policy

	// Preemptions, where it is not 0, has all schedules run with up to that many preemptions, at shared accesses, and no seeds.
	Preemptions int

	Progress func(schedules int)
}

const usualSchedules = 1000

// Result is what a search has found.
type Result struct {
	Schedules    int
	Instructions uint64 // of all of them
	Complete     bool   // there are no more schedules with as many preemptions
	Found        *Found // nil: no schedule failed
}

// Found is a schedule that failed, with as few switches as were found to do.
type Found struct {
	*Outcome
	Token string // for [Lab.Replay]
	Seed  uint64 // of the policy that met it
}

func (f *Found) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n%s", f.Failure, f.Token)
	for cpu, list := range f.Failure.CPUs {
		fmt.Fprintf(&b, "\nCPU %d: %s", cpu, strings.Join(list, " < "))
	}
	return b.String()
}

func (f *Found) Unwrap() error { return f.Failure }

// Search runs schedules until one fails.
func (l *Lab) Search(ctx context.Context, opts *SearchOptions) (*Result, error) {
	if opts == nil {
		opts = &SearchOptions{}
	}
	if opts.Schedules < 0 || opts.Preemptions < 0 {
		return nil, fmt.Errorf("%d schedules, %d preemptions: %w", opts.Schedules, opts.Preemptions, errno.EINVAL)
	}
	r := &Result{}
	count := func(o *Outcome, seed uint64) bool {
		r.Schedules++
		r.Instructions += o.Count
		if o.Failure != nil {
			r.Found = &Found{o, l.Token(o.Schedule), seed}
		}
		if opts.Progress != nil {
			opts.Progress(r.Schedules)
		}
		return o.Failure == nil && (opts.Schedules == 0 || r.Schedules < opts.Schedules)
	}
	var err error
	if opts.Preemptions > 0 {
		r.Complete, err = l.exhaust(ctx, opts.Preemptions, func(o *Outcome) bool { return count(o, 0) })
	} else {
		err = l.searchSeeds(ctx, opts, count)
	}
	if err != nil || r.Found == nil {
		return r, err
	}
	o, err := l.minimise(ctx, r.Found.Outcome)
	if err != nil {
		return r, err
	}
	r.Found.Outcome, r.Found.Token = o, l.Token(o.Schedule)
	return r, nil
}

func (l *Lab) searchSeeds(ctx context.Context, opts *SearchOptions, count func(*Outcome, uint64) bool) error {
	policy := opts.Policy
	if policy == nil {
		policy = l.Policy
	}
	n := opts.Schedules
	if n == 0 {
		n = usualSchedules
	}
	for seed := opts.Seed; seed-opts.Seed < uint64(n); seed++ {
		o, err := l.Run(ctx, policy(seed))
		if err != nil {
			return err
		}
		if !count(o, seed) {
			return nil
		}
	}
	return nil
}

// trials bounds how many schedules are run to find one with fewer switches.
const trials = 1000

// minimise looks for a schedule that fails in the same way with fewer segments: it leaves out parts of it, large ones first.
func (l *Lab) minimise(ctx context.Context, o *Outcome) (*Outcome, error) {
	best, left := o, trials
	for size := (len(best.Schedule) + 1) / 2; size > 0 && left > 0; {
		smaller := false
		for at := 0; at < len(best.Schedule) && left > 0; {
			shorter := append(append([]Segment(nil), best.Schedule[:at]...), best.Schedule[min(at+size, len(best.Schedule)):]...)
			left--
			got, err := l.Run(ctx, NewFixed(shorter))
			if err != nil {
				return nil, err
			}
			if got.Failure != nil && got.Failure.Kind == o.Failure.Kind && len(got.Schedule) < len(best.Schedule) {
				best, smaller = got, true
				continue
			}
			at += size
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return best, nil
}
