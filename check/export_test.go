package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"callops/check/internal/model"
	"callops/check/property"
	"callops/ftrace"
)

// RandomScenario makes one of a few ops, operations, calls.
func RandomScenario(rnd *rand.Rand) *Scenario {
	sc := model.Scenario{NoCallOps: rnd.IntN(5) == 0, FixCallOps: rnd.IntN(3) == 0, AnyOrder: true}
	for _, name := range []string{"A", "B", "C"}[:1+rnd.IntN(3)] {
		o := model.Ops{Name: name, Filter: randomFilter(rnd), Registered: rnd.IntN(2) == 0}
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
		var ops []model.Operation
		for k := i; k < len(sc.Ops); k += threads {
			ops = append(ops, randomLife(rnd, &sc.Ops[k])...)
		}
		if rnd.IntN(6) == 0 {
			ops = append(ops, model.Enable(0))
		}
		if len(ops) > 0 {
			sc.Threads = append(sc.Threads, ops)
		}
	}
	task := model.Task{Calls: []string{relevant}}
	if rnd.IntN(2) == 0 {
		task.Calls = append(task.Calls, []string{relevant, irrelevant}[rnd.IntN(2)])
	}
	if rnd.IntN(5) == 0 {
		task.Idle, task.NotWatching = true, rnd.IntN(2) == 0
	}
	sc.Tasks = []model.Task{task}
	if !sc.NoCallOps && rnd.IntN(3) == 0 {
		sc.Sets, sc.SetLimit, sc.NoSet = true, 1+rnd.IntN(3), rnd.IntN(4)
	}
	return &Scenario{Name: "random", set: sc}
}

func randomFilter(rnd *rand.Rand) []string {
	return [][]string{{relevant}, {relevant}, {irrelevant}, {relevant, irrelevant}}[rnd.IntN(4)]
}

// randomLife is what happens to an ops: up to three operations.
func randomLife(rnd *rand.Rand, o *model.Ops) (ops []model.Operation) {
	on := o.Registered
	for range rnd.IntN(3) {
		switch {
		case on && rnd.IntN(3) > 0:
			on = false
			ops = append(ops, model.Unregister(o.Name))
		case on:
			ops = append(ops, model.Filter(o.Name, randomFilter(rnd)...))
		case rnd.IntN(3) == 0:
			return append(ops, model.Free(o.Name))
		default:
			on = true
			ops = append(ops, model.Register(o.Name))
		}
	}
	return ops
}

// Describe is a scenario on one line.
func (s *Scenario) Describe() string {
	text := fmt.Sprintf("%+v", s.set)
	for _, ops := range s.set.Threads {
		var names []string
		for _, op := range ops {
			names = append(names, op.Name)
		}
		text += fmt.Sprintf(" %v", names)
	}
	return text
}

// Calls is how many calls the scenario's first task makes.
func (s *Scenario) Calls() int { return len(s.set.Tasks[0].Calls) }

// Verdict searches a scenario and returns what it breaks, None where that is
// nothing.
func Verdict(ctx context.Context, sc *Scenario, mutation string, opts Options) (property.Property, *Result, error) {
	mut, err := findMutation(mutation)
	if err != nil {
		return property.None, nil, err
	}
	r, err := (&trial{sc, mut, opts}).search(ctx)
	if err != nil || len(r.Violations) == 0 {
		return property.None, r, err
	}
	return r.Violations[0].Property, r, nil
}

// FittingMutations are the mutations of what a scenario has: "" is none.
func FittingMutations(sc *Scenario) []string {
	names := []string{"", ""}
	for i := range mutations {
		f := &mutations[i].fault
		own, err := findScenario(mutations[i].Scenario)
		if err != nil || own.set.Direct != sc.set.Direct || own.set.Sets && !sc.set.Sets {
			continue // of another design
		}
		if slices.ContainsFunc(own.set.Ops, func(o model.Ops) bool { return o.Graph }) {
			continue // random scenarios have no users of fgraph
		}
		if f.Image == nil && !f.LiveInit && !f.OnlyCode() && (f.Trampoline == 0 && f.Core == 0 || !sc.set.NoCallOps) {
			names = append(names, mutations[i].Name)
		}
	}
	slices.Sort(names)
	return names
}
