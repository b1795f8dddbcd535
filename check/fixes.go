package check

import (
	"callops/check/event"
	"callops/check/internal/model"
	"callops/sched"
)

// The fixes that docs/findings.md proposes and the core does not have.

// interruptLast has every CPU synchronise before an operation returns
// (kick_all_cpus_sync).
func interruptLast(steps []model.Step) []model.Step {
	return append(steps, model.Step{Kind: event.InterruptAll}, model.Step{Kind: event.AllAnswered})
}

// waitForInterrupt waits for all readers where Linux interrupts every CPU.
func waitForInterrupt(steps []model.Step) []model.Step {
	var out []model.Step
	for _, s := range steps {
		switch s.Kind {
		case event.InterruptAll:
			for _, kind := range []sched.Kind{sched.Rude, sched.Tasks} {
				out = append(out, model.Step{Kind: event.GraceBegins, Wait: kind}, model.Step{Kind: event.GraceEnds, Wait: kind})
			}
		case event.AllAnswered:
		default:
			out = append(out, s)
		}
	}
	return out
}

// callRude frees what Linux hands to call_rcu only after
// synchronize_rcu_tasks_rude.
func callRude(steps []model.Step) []model.Step {
	for i := range steps {
		if steps[i].Kind == event.CallRCU {
			steps[i].Wait = sched.Rude
		}
	}
	return steps
}
