package check

import (
	"callops/check/event"
	"callops/check/internal/model"
	"callops/ftrace"
	"callops/sched"
	"callops/trampolines"
)

// Tags of literals, where they hold the address of a direct call.
const (
	tagOps    = 1
	tagBeside = 2
)

// directMutations are faults in the designs of direct calls.
var directMutations = []Mutation{
	{
		Name:     "tag-lost",
		About:    "the literal names an ops without its tag",
		Scenario: "tagged-replace",
		fault:    model.Fault{Steps: literals(func(m *model.Machine, v uint64) uint64 { return untagged(m, v) })},
	},
	{
		Name:     "tag-beside-lost",
		About:    "the literal does not say that tracers are beside the direct call",
		Scenario: "tagged-shared",
		fault: model.Fault{Steps: literals(func(_ *model.Machine, v uint64) uint64 {
			if v&(tagOps|tagBeside) == tagBeside {
				v -= tagBeside
			}
			return v
		})},
	},
	{
		Name:     "tag-loaded-twice",
		About:    "the trampoline tests the tag of one load of the literal and jumps where another leads",
		Scenario: "tagged-detach",
		fault:    model.Fault{Trampoline: trampolines.LoadTagTwice},
	},
	{
		Name:     "tagged-branch-first",
		About:    "the BL to another address is written before the literal",
		Scenario: "tagged-modify-near",
		Harmless: "either leads to one of the two addresses",
		fault:    model.Fault{Steps: branchesFirst},
	},
	{
		Name:     "place-late",
		About:    "a site leads to code before that is written",
		Scenario: "tagged-place",
		fault:    model.Fault{Steps: withoutText},
	},
	{
		Name:     "place-no-interrupt",
		About:    "code is written and cleaned, and no CPU is interrupted before a literal leads there",
		Scenario: "tagged-place",
		fault: model.Fault{Steps: without(func(_ *model.Machine, s *model.Step) bool {
			return s.Kind == event.InterruptAll || s.Kind == event.AllAnswered
		})},
	},
	{
		Name:     "retire-at-once",
		About:    "the user of a direct call frees its code without waiting for synchronize_rcu_tasks",
		Scenario: "tagged-modify",
		fault:    model.Fault{Steps: withoutWaits},
	},
	{
		Name:     "jump-called",
		About:    "a site calls the code that expects to be jumped to",
		Scenario: "jump-attach",
		fault: model.Fault{Steps: func(_ *model.Machine, steps []model.Step) []model.Step {
			const opB, toBL = 0x05, 1 << 31
			for i := range steps {
				if s := &steps[i]; s.Kind == event.StoreText && s.Value>>26 == opB {
					s.Value |= toBL
				}
			}
			return steps
		}},
	},
	{
		Name:     "keep-shared",
		About:    "a site that tracers share keeps its literal when a direct call joins them",
		Scenario: "tagged-join-two",
		fault:    model.Fault{Core: ftrace.KeepShared},
	},
	{
		Name:     "mini-freed-at-once",
		About:    "a mini-ops is freed without a grace period",
		Scenario: "mini-modify",
		fault:    model.Fault{Steps: func(m *model.Machine, s []model.Step) []model.Step { return freeAtOnce(m, withoutWaits(m, s)) }},
	},
	{
		Name:     "mini-no-tasks-wait",
		About:    "a mini-ops is freed after synchronize_rcu_tasks_rude alone",
		Scenario: "mini-modify",
		fault:    model.Fault{Preempts: true, Steps: freeAtOnce},
	},
	{
		Name:     "mini-no-rude-wait",
		About:    "a mini-ops is freed after synchronize_rcu_tasks alone",
		Scenario: "mini-modify-idle",
		fault:    model.Fault{Steps: withoutWaits},
	},
	{
		Name:     "mini-no-barrier",
		About:    "no barrier is between what a mini-ops holds and the literal that leads to it",
		Scenario: "mini-modify",
		fault:    model.Fault{Steps: without(func(_ *model.Machine, s *model.Step) bool { return s.Kind == event.WriteBarrier })},
	},
	{
		Name:     "mini-in-place",
		About:    "the mini-ops of the old address gets the new one, and no site another mini-ops",
		Scenario: "mini-modify-one",
		fault:    model.Fault{Steps: inPlace},
	},
	{
		Name:     "mini-literal-not-restored",
		About:    "a site that is disabled keeps its literal, and the mini-ops is freed",
		Scenario: "mini-replace",
		fault:    model.Fault{Steps: keepLiteral},
	},
	{
		Name:     "mini-branch-first",
		About:    "the BL is written before the literal that leads to a mini-ops",
		Scenario: "mini-attach",
		Harmless: "a disabled site's literal names ftrace_nop_ops, which any CPU may call",
		fault:    model.Fault{Steps: branchesFirst},
	},
	{
		Name:     "hash-freed-at-once",
		About:    "a table of direct calls is freed without a grace period",
		Scenario: "hash-modify",
		fault:    model.Fault{Steps: func(m *model.Machine, s []model.Step) []model.Step { return freeAtOnce(m, withoutWaits(m, s)) }},
	},
	{
		Name:     "hash-no-tasks-wait",
		About:    "a table of direct calls is freed after synchronize_rcu_tasks_rude alone",
		Scenario: "hash-modify",
		fault:    model.Fault{Preempts: true, Steps: freeAtOnce},
	},
	{
		Name:     "hash-no-rude-wait",
		About:    "a table of direct calls is freed after synchronize_rcu_tasks alone",
		Scenario: "hash-modify-idle",
		fault:    model.Fault{Steps: withoutWaits},
	},
	{
		Name:     "hash-plain-publish",
		About:    "a table of direct calls is published with a plain store",
		Scenario: "hash-modify",
		fault: model.Fault{Steps: func(_ *model.Machine, steps []model.Step) []model.Step {
			for i := range steps {
				steps[i].Release = false
			}
			return steps
		}},
	},
	{
		Name:     "hash-not-swapped",
		About:    "a site leads to the ops, whose table stays the old one",
		Scenario: "hash-attach",
		fault:    model.Fault{Steps: without(func(m *model.Machine, s *model.Step) bool { return m.StoresTable(s) && s.Old != 0 && s.Value != 0 })},
	},
	{
		Name:     "hash-swapped-last",
		About:    "a table is published after the sites that are in it lead to the ops",
		Scenario: "hash-modify",
		Harmless: "a CPU finds the old address, or no call and goes on in the traced function",
		fault:    model.Fault{Steps: tableLast},
	},
	{
		Name:     "hash-miss-followed",
		About:    "the trampoline does not expect that a call site is not in the table",
		Scenario: "hash-detach",
		fault:    model.Fault{Trampoline: trampolines.FollowMiss},
	},
	{
		Name:     "hash-last-at-once",
		About:    "the ops loses func and filter at once with its last call, as Linux's static direct_ops does",
		Scenario: "hash-join",
		fault:    model.Fault{Core: ftrace.ForgetAtOnce},
	},
}

// literals changes what is stored to literals.
func literals(change func(m *model.Machine, v uint64) uint64) func(*model.Machine, []model.Step) []model.Step {
	return func(m *model.Machine, steps []model.Step) []model.Step {
		for i := range steps {
			if steps[i].Literal {
				steps[i].Value = change(m, steps[i].Value)
			}
		}
		return steps
	}
}

// untagged takes the tag off an ops, but for ftrace_nop_ops.
func untagged(m *model.Machine, v uint64) uint64 {
	if v&tagOps != 0 && v-tagOps != m.NopOps() {
		v -= tagOps
	}
	return v
}

func branchesFirst(_ *model.Machine, steps []model.Step) []model.Step { return branchFirst(steps) }

// withoutWaits leaves out the grace periods that are waited for.
func withoutWaits(m *model.Machine, steps []model.Step) []model.Step {
	return without(func(_ *model.Machine, s *model.Step) bool {
		return isWait(s) && (s.Wait == sched.Rude || s.Wait == sched.Tasks)
	})(m, steps)
}

// withoutText leaves out what writes code, and all that follows from it.
func withoutText(m *model.Machine, steps []model.Step) []model.Step {
	return without(func(_ *model.Machine, s *model.Step) bool { return s.Kind == event.StoreText && s.Old == 0 })(m, steps)
}

// inPlace has an old mini-ops hold the address of a new one, which is left alone.
func inPlace(_ *model.Machine, steps []model.Step) []model.Step {
	held := map[uint64]uint64{} // what was stored where
	for i := range steps {
		s := &steps[i]
		held[s.Addr] = s.Value
		if fresh := s.Value - trampolines.MiniAlone; s.Literal && held[fresh+2*8] != 0 {
			old := s.Old - trampolines.MiniAlone
			*s = model.Step{Kind: event.Store, Addr: old + 2*8, Size: 8, Value: held[fresh+2*8]}
		}
	}
	return steps
}

// tableLast moves the store of a table to the end, or before what waits for its readers.
func tableLast(m *model.Machine, steps []model.Step) []model.Step {
	for i := 0; i+1 < len(steps); i++ {
		next := &steps[i+1]
		if m.StoresTable(&steps[i]) && (next.Kind == event.Store || next.Kind == event.StoreText || next.Kind == event.CleanText || next.Kind == event.WriteBarrier) {
			steps[i], steps[i+1] = steps[i+1], steps[i]
		}
	}
	return steps
}
