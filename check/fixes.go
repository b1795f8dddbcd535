package check

import "callops/sched"

// The fixes that docs/findings.md proposes and the core does not have.

// interruptLast has every CPU synchronise before an operation returns
// (kick_all_cpus_sync).
func interruptLast(steps []step) []step {
	return append(steps, step{Kind: stepInterrupt}, step{Kind: stepAnswered})
}

// waitForInterrupt waits for all readers where Linux interrupts every CPU.
func waitForInterrupt(steps []step) []step {
	var out []step
	for _, s := range steps {
		switch s.Kind {
		case stepInterrupt:
			for _, kind := range []sched.Kind{sched.Rude, sched.Tasks} {
				out = append(out, step{Kind: stepWait, Wait: kind}, step{Kind: stepWaited, Wait: kind})
			}
		case stepAnswered:
		default:
			out = append(out, s)
		}
	}
	return out
}

// callRude frees what Linux hands to call_rcu only behind
// synchronize_rcu_tasks_rude.
func callRude(steps []step) []step {
	for i := range steps {
		if steps[i].Kind == stepCall {
			steps[i].Wait = sched.Rude
		}
	}
	return steps
}
