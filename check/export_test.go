package check

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"

	"callops/check/internal/weak"
	"callops/ftrace"
)

// RandomScenario makes one of a few ops, operations, calls.
func RandomScenario(rnd *rand.Rand) *Scenario {
	sc := &Scenario{Name: "random", NoCallOps: rnd.IntN(5) == 0, FixCallOps: rnd.IntN(3) == 0}
	for _, name := range []string{"A", "B", "C"}[:1+rnd.IntN(3)] {
		o := Ops{Name: name, Filter: randomFilter(rnd), Registered: rnd.IntN(2) == 0}
		switch rnd.IntN(6) {
		case 0:
			o.Flags = ftrace.OpsRCU
		case 1:
			o.Flags = ftrace.OpsRecursion
		}
		sc.Ops = append(sc.Ops, o)
	}
	threads := 1 + rnd.IntN(2)
	for i := range threads {
		var ops []Operation
		for k := i; k < len(sc.Ops); k += threads {
			ops = append(ops, randomLife(rnd, &sc.Ops[k])...)
		}
		if rnd.IntN(6) == 0 {
			ops = append(ops, enabled(0))
		}
		if len(ops) > 0 {
			sc.Threads = append(sc.Threads, ops)
		}
	}
	task := Task{Calls: []string{relevant}}
	if rnd.IntN(2) == 0 {
		task.Calls = append(task.Calls, []string{relevant, irrelevant}[rnd.IntN(2)])
	}
	if rnd.IntN(5) == 0 {
		task.Idle, task.NotWatching = true, rnd.IntN(2) == 0
	}
	sc.Tasks = []Task{task}
	return sc
}

func randomFilter(rnd *rand.Rand) []string {
	return [][]string{{relevant}, {relevant}, {irrelevant}, {relevant, irrelevant}}[rnd.IntN(4)]
}

// randomLife is what happens to an ops: up to three operations.
func randomLife(rnd *rand.Rand, o *Ops) (ops []Operation) {
	on := o.Registered
	for range rnd.IntN(3) {
		switch {
		case on && rnd.IntN(3) > 0:
			on = false
			ops = append(ops, unregister(o.Name))
		case on:
			ops = append(ops, filter(o.Name, randomFilter(rnd)...))
		case rnd.IntN(3) == 0:
			return append(ops, free(o.Name))
		default:
			on = true
			ops = append(ops, register(o.Name))
		}
	}
	return ops
}

// Describe is a scenario on one line.
func (sc *Scenario) Describe() string {
	s := fmt.Sprintf("%+v", *sc)
	for _, ops := range sc.Threads {
		var names []string
		for _, op := range ops {
			names = append(names, op.Name)
		}
		s += fmt.Sprintf(" %v", names)
	}
	return s
}

// Verdict searches a scenario and says what it breaks, "" where that is
// nothing.
func Verdict(ctx context.Context, sc *Scenario, mutation string, opts Options) (property string, r Result, err error) {
	mut := none
	if mutation != "" {
		if mut, err = findMutation(mutation); err != nil {
			return "", r, err
		}
	}
	s, err := prepare(sc, mut, &opts)
	if err != nil {
		return "", r, err
	}
	defer s.close()
	m, found, err := s.explore(ctx, &opts)
	if err != nil {
		return "", r, err
	}
	r.Complete, r.States = found.Complete, found.States
	if found.Broken != nil {
		c, err := s.explain(m, found.Broken)
		if err != nil {
			return "", r, err
		}
		property = c.Property
	}
	return property, r, nil
}

// FittingMutations are the mutations that can be put into a scenario: "" is none.
func FittingMutations(sc *Scenario) []string {
	names := []string{"", ""}
	for i := range mutations {
		if m := &mutations[i]; m.image == nil && !m.liveInit && (m.trampoline == 0 && m.core == 0 || !sc.NoCallOps) {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TwoFilters is two patchers that change a filter each, of a different ops.
func TwoFilters() *Scenario {
	return &Scenario{
		Name:    "two-filters",
		Ops:     []Ops{live("A", relevant), live("B", relevant)},
		Threads: [][]Operation{{filter("A", irrelevant)}, {filter("B", irrelevant)}},
		Tasks:   calls(relevant),
	}
}

// Callbacks returns how many objects each callback of a scenario frees.
func Callbacks(sc *Scenario) (objects []int, err error) {
	p, err := record(&base{}, sc, none)
	if err != nil {
		return nil, err
	}
	for _, c := range p.callbacks {
		objects = append(objects, bits.OnesCount64(c.objects))
	}
	return objects, nil
}

// SameAsOlder says whether a reader leaves out a version of the first location
// for an older one.
func SameAsOlder(h *weak.History, v weak.Version) bool {
	t := turn{model: &model{p: &program{hist: h}}}
	return t.sameAsOlder(h.Location(0), v, 0)
}
