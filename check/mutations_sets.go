package check

import (
	"callops/check/event"
	"callops/check/internal/model"
	"callops/ftrace"
	"callops/sched"
	"callops/trampolines"
)

// setMutations are faults in site sets.
var setMutations = []Mutation{
	{
		Name:     "set-after-literal",
		About:    "a set is filled after the literal names it",
		Scenario: "set-arrives",
		fault:    model.Fault{Steps: fillLate},
	},
	{
		Name:     "set-no-barrier",
		About:    "no barrier is between a set and the literal that names it",
		Scenario: "set-arrives",
		fault:    model.Fault{Steps: without(func(_ *model.Machine, s *model.Step) bool { return s.Kind == event.WriteBarrier })},
	},
	{
		Name:     "set-freed-at-once",
		About:    "a set is freed when the last literal leaves it, without a grace period",
		Scenario: "set-grows",
		fault:    model.Fault{Core: ftrace.FreeSetAtOnce},
	},
	{
		Name:     "set-no-grace",
		About:    "a set and the ops that left it are freed without a grace period",
		Scenario: "set-shrinks",
		fault:    model.Fault{Steps: without(func(_ *model.Machine, s *model.Step) bool { return isWait(s) })},
	},
	{
		Name:     "set-no-tasks-wait",
		About:    "a set is freed without synchronize_rcu_tasks, under a walker that was preempted",
		Scenario: "set-preempted",
		fault: model.Fault{
			Preempts: true,
			Steps:    without(func(_ *model.Machine, s *model.Step) bool { return isWait(s) && s.Wait == sched.Tasks }),
		},
	},
	{
		Name:     "set-no-rude-wait",
		About:    "a set is freed without synchronize_rcu_tasks_rude, under a walker in the idle loop",
		Scenario: "set-idle",
		fault:    model.Fault{Steps: without(func(_ *model.Machine, s *model.Step) bool { return isWait(s) && s.Wait == sched.Rude })},
	},
	{
		Name:     "set-early-wait",
		About:    "the grace periods come before the literals change",
		Scenario: "set-shrinks",
		fault:    model.Fault{Steps: waitFirst},
	},
	{
		Name:     "set-freed-shared",
		About:    "a set is freed when one of its sites leaves it, with another still in it",
		Scenario: "set-shared",
		fault:    model.Fault{Core: ftrace.FreeSharedSet},
	},
	{
		Name:     "set-kept",
		About:    "a site keeps its set when a filter change leaves it with other ops",
		Scenario: "set-filter",
		fault:    model.Fault{Core: ftrace.KeepSet},
	},
	{
		Name:     "set-oldest-first",
		About:    "a set has its ops in the order in which they were registered",
		Scenario: "set-grows",
		fault:    model.Fault{Core: ftrace.OldestFirst},
	},
	{
		Name:     "set-keeps-bit",
		About:    "the func of a set does not give back the recursion bit",
		Scenario: "set-protected",
		fault:    model.Fault{Trampoline: trampolines.SetKeepsBit},
	},
	{
		Name:     "set-skips-rcu",
		About:    "the func of a set does not look whether RCU is watching",
		Scenario: "set-rcu-idle",
		fault:    model.Fault{Trampoline: trampolines.SetSkipsRCU},
	},
	{
		Name:     "set-literal-twice",
		About:    "the trampoline loads the literal once for func and once for the set",
		Scenario: "set-leaves",
		fault:    model.Fault{Trampoline: trampolines.LoadLiteralTwice},
	},
}

// fillLate moves what fills a set, and the barrier after it, behind the literal that names it.
func fillLate(_ *model.Machine, steps []model.Step) []model.Step {
	var out, late []model.Step
	for i, s := range steps {
		switch {
		case s.Kind == event.WriteBarrier:
			// The set's stores are those right before it.
			from := i
			for from > 0 && steps[from-1].Kind == event.Store && !steps[from-1].Literal && !steps[from-1].Release {
				from--
			}
			late = append(late, steps[from:i+1]...)
			out = out[:len(out)-(i-from)]
		case s.Literal:
			out = append(append(out, s), late...)
			late = nil
		default:
			out = append(out, s)
		}
	}
	return append(out, late...)
}

// waitFirst moves grace periods to where the operation begins.
func waitFirst(_ *model.Machine, steps []model.Step) []model.Step {
	out := steps[:1:1] // OperationBegins
	for _, waits := range []bool{true, false} {
		for _, s := range steps[1:] {
			if isWait(&s) == waits {
				out = append(out, s)
			}
		}
	}
	return out
}
