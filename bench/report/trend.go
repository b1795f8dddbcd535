package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"callops/bench"
)

// trend describes how the overhead grows with the number of ops of one kind while
// the other kind's stays the same, from the rows that were measured.
type trend struct {
	kind  string // "relevant", "irrelevant"
	other int    // how many of the other kind
	steps []step
}

// step is what each ops adds between two measured rows; neighbours that add
// the same are one step.
type step struct {
	from, to int
	each     float64
}

// flat reports whether more ops cost nothing.
func (t *trend) flat() bool { return len(t.steps) == 1 && t.steps[0].each == 0 }

func (t *trend) String() string {
	other := map[string]string{"relevant": "irrelevant", "irrelevant": "relevant"}[t.kind]
	var parts []string
	for _, s := range t.steps {
		parts = append(parts, fmt.Sprintf("%d to %d: +%s each", s.from, s.to, short(s.each)))
	}
	if t.flat() {
		parts = []string{fmt.Sprintf("%d to %d: +0, flat", t.steps[0].from, t.steps[0].to)}
	}
	return fmt.Sprintf("%s ops, with %d %s: %s", t.kind, t.other, other, strings.Join(parts, "; "))
}

// trends looks at rows of one engine and scheme. The tracee has to be traced, so
// rows without a relevant ops say nothing.
func trends(rows []bench.Row) []trend {
	relevant := func(r *bench.Row) int { return r.Relevant }
	irrelevant := func(r *bench.Row) int { return r.Irrelevant }
	var traced []bench.Row
	for _, r := range rows {
		if r.Relevant > 0 {
			traced = append(traced, r)
		}
	}
	var found []trend
	for _, t := range []*trend{along("irrelevant", traced, irrelevant, relevant), along("relevant", traced, relevant, irrelevant)} {
		if t != nil {
			found = append(found, *t)
		}
	}
	return found
}

// along takes the rows with the least number of the other kind that leaves
// two of them.
func along(kind string, rows []bench.Row, kindOf, otherOf func(*bench.Row) int) *trend {
	byOther := make(map[int][]bench.Row)
	for _, r := range rows {
		byOther[otherOf(&r)] = append(byOther[otherOf(&r)], r)
	}
	best := -1
	for other, line := range byOther {
		if len(line) > 1 && (best < 0 || other < best) {
			best = other
		}
	}
	if best < 0 {
		return nil
	}
	line := byOther[best]
	slices.SortFunc(line, func(a, b bench.Row) int { return cmp.Compare(kindOf(&a), kindOf(&b)) })
	t := &trend{kind: kind, other: best}
	for i := 1; i < len(line); i++ {
		from, to := kindOf(&line[i-1]), kindOf(&line[i])
		t.add(step{from, to, (line[i].Overhead - line[i-1].Overhead) / float64(to-from)})
	}
	return t
}

func (t *trend) add(s step) {
	const rounding = 1e-9 // of the division; counts are integers
	if n := len(t.steps); n > 0 && math.Abs(t.steps[n-1].each-s.each) < rounding {
		t.steps[n-1].to = s.to
		return
	}
	t.steps = append(t.steps, s)
}
