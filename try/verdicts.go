package try

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"callops/check"
)

// verdicts searches the scenarios on both kernels.
func (t *trial) verdicts(ctx context.Context) error {
	t.choosePatcher()
	for _, sc := range check.Scenarios() {
		if t.Scenarios != nil && !slices.Contains(t.Scenarios, sc.Name) {
			continue
		}
		v := Verdict{Name: sc.Name}
		unfit := false
		err := t.each(func(b *Build, isNew bool) error {
			if unfit {
				return nil
			}
			f, err := t.search(ctx, b, sc.Name)
			if errors.Is(err, check.ErrUnfit) {
				unfit = true
				return nil
			}
			if isNew {
				v.New = f
			} else {
				v.Old = f
			}
			return err
		})
		if err != nil {
			return err
		}
		if unfit {
			t.report.LeftOut = append(t.report.LeftOut, sc.Name)
			continue
		}
		v.Change, v.Old.Counterexample = change(&v.Old, &v.New), nil
		if v.Change != Worse {
			v.New.Counterexample = nil
		}
		t.report.Verdicts = append(t.report.Verdicts, v)
		t.judgeVerdict(&v)
	}
	return nil
}

// choosePatcher decides whose core patches: the kernels' own, where it runs on both.
func (t *trial) choosePatcher() {
	t.report.Patcher = PatcherImage
	c := t.report.Core
	for _, k := range []struct{ name, failed string }{{t.Old.Name, c.Old.Failed}, {t.New.Name, c.New.Failed}} {
		if k.failed != "" {
			t.report.Patcher = PatcherCallops
			t.report.Notes = append(t.report.Notes, fmt.Sprintf("callops' core patches while scenarios are searched: that of %s can't be run: %s", k.name, k.failed))
		}
	}
}

// search searches a scenario on a kernel. Only the end of ctx, and a scenario that is for
// other kernels, are errors.
func (t *trial) search(ctx context.Context, b *Build, name string) (Found, error) {
	r, err := check.Check(ctx, name, "", t.checkOptions(b, name))
	switch {
	case ctx.Err() != nil:
		return Found{}, ctx.Err()
	case errors.Is(err, check.ErrUnfit):
		return Found{}, err
	case err != nil:
		return Found{Outcome: Failed, Failed: short(err)}, nil
	}
	f := Found{Outcome: Holds, States: r.States}
	switch {
	case len(r.Violations) > 0:
		f.Outcome, f.Property, f.Counterexample = Broken, r.Violations[0].Property, r.Violations[0]
		if r.OK() {
			f.Finding = r.Finding
		}
	case !r.Complete:
		f.Outcome = Bounded
	}
	return f, nil
}

func (t *trial) judgeVerdict(v *Verdict) {
	switch {
	case v.Change == Worse && v.New.Outcome == Failed:
		t.worse("%s: the kernel's code fails: %s", v.Name, v.New.Failed)
	case v.Change == Worse:
		t.worse("%s: broken: %s", v.Name, v.New.Property.Claim())
	case v.Change == Better:
		t.better("%s: %s now", v.Name, v.New.Outcome)
	}
}
