package check

import (
	"callops/check/internal/model"
	"callops/ftrace"
)

// sets has the sites of a scenario name sets of their ops.
func sets(sc model.Scenario) model.Scenario { sc.Sets = true; return sc }

// noSet has the n-th set that the core makes find no memory.
func noSet(n int, sc model.Scenario) model.Scenario { sc.NoSet = n; return sets(sc) }

// setScenarios are of site sets. Where a set is walked on the built-in kernel its walker may be preempted at
// any instruction, but in a set that protects its ops.
var setScenarios = []Scenario{
	{
		Name:  "set-arrives",
		About: "a second ops joins a site: from unique to a set",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), on("B", relevant)},
			Threads: does(model.Register("B")),
			Tasks:   calls(relevant, relevant),
		}),
	},
	{
		Name:  "set-grows",
		About: "a third ops joins a site: from a set to another, and the first is left for a later wait",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant), on("C", relevant)},
			Threads: does(model.Register("C")),
			Tasks:   calls(relevant, relevant),
		}),
	},
	{
		Name:  "set-shrinks",
		About: "one of three ops leaves and is freed: from a set to another, and the first is freed",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant), live("C", relevant)},
			Threads: does(model.Unregister("B"), model.Free("B")),
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-leaves",
		About: "the newer of two ops leaves and is freed: from a set to unique",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Unregister("B"), model.Free("B")),
			Tasks:   calls(relevant, relevant),
		}),
	},
	{
		Name:  "set-preempted",
		About: "the older of two ops leaves and is freed, which a walker of their set comes to last",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-idle",
		About: "set-leaves, while a CPU's idle loop calls the function",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Unregister("B"), model.Free("B")),
			Tasks:   []model.Task{{Calls: []string{relevant, relevant}, Idle: true}, {Calls: []string{relevant}}},
		}),
	},
	{
		Name:  "set-shared",
		About: "one of two sites that share a set leaves it, then the other, and it is freed",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant, irrelevant), live("B", relevant, irrelevant), live("C", irrelevant)},
			Threads: does(model.Unregister("C"), model.Filter("B", irrelevant), model.Unregister("B"), model.Free("B")),
			Tasks:   []model.Task{{Calls: []string{relevant, irrelevant}}, {Calls: []string{irrelevant}}},
		}),
	},
	{
		Name:  "set-filter",
		About: "the filter of one of three ops goes from their site to another, and back",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant), live("C", relevant)},
			Threads: does(model.Filter("B", irrelevant), model.Filter("B", relevant)),
			Tasks:   calls(relevant, irrelevant),
		}),
	},
	{
		Name:  "set-reclaimed",
		About: "there may be two sets: the third is made when the first is waited for and freed, while sites change",
		set: sets(model.Scenario{
			Ops:      []model.Ops{live("A", relevant), live("B", relevant), on("C", relevant), on("D", relevant)},
			Threads:  does(model.Register("C"), model.Register("D")),
			Tasks:    calls(relevant),
			SetLimit: 2,
		}),
	},
	{
		Name:  "set-no-memory-arrives",
		About: "a second ops joins and leaves, and there is no memory for their set: the list stands in",
		set: noSet(1, model.Scenario{
			Ops:     []model.Ops{live("A", relevant), on("B", relevant)},
			Threads: does(model.Register("B"), model.Unregister("B"), model.Free("B")),
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-no-memory-grows",
		About: "a third ops joins and leaves, and there is no memory for the set of three: set, list, set",
		set: noSet(2, model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant), on("C", relevant)},
			Threads: does(model.Register("C"), model.Unregister("C"), model.Free("C")),
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-no-memory-leaves",
		About: "one of three ops leaves, and there is no memory for the set of those that stay",
		set: noSet(3, model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant), live("C", relevant)},
			Threads: does(model.Unregister("B"), model.Free("B")),
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-no-memory-filter",
		About: "a filter changes, and there is no memory for a set of the site that it comes to",
		set: noSet(2, model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", irrelevant), live("C", relevant)},
			Threads: does(model.Filter("C", irrelevant)),
			Tasks:   calls(relevant, irrelevant),
		}),
	},
	{
		Name:  "set-protected",
		About: "an ops that asks for recursion protection joins, and the plain one leaves: unique, a set, a set of one",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), flagged(on("B", relevant), ftrace.OpsRecursion)},
			Threads: does(model.Register("B"), model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-rcu-idle",
		About: "an ops with the RCU flag joins a plain one, on a CPU that RCU is not watching and another",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), flagged(on("B", relevant), ftrace.OpsRCU)},
			Threads: does(model.Register("B")),
			Tasks:   []model.Task{{Calls: []string{relevant, relevant}, Idle: true, NotWatching: true}, {Calls: []string{relevant}}},
		}),
	},
	{
		Name:  "set-direct",
		About: "a tracer joins and leaves a site with a direct call: meanwhile it has a set of both",
		set: sets(model.Scenario{
			Ops:     []model.Ops{direct(live("D", relevant)), on("A", relevant)},
			Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-two-patchers",
		About: "one of two ops leaves and is freed while a third joins: ftrace_lock decides which set there is between",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant), on("C", relevant)},
			Threads: [][]model.Operation{{model.Unregister("A"), model.Free("A")}, {model.Register("C")}},
			Tasks:   calls(relevant),
		}),
	},
	{
		Name:  "set-off-and-on",
		About: "kernel.ftrace_enabled is set to 0 and to 1 again on a site with a set",
		set: sets(model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Enable(0), model.Enable(1)),
			Tasks:   calls(relevant, relevant),
		}),
	},
	{
		Name:  "set-from-a-tracer",
		About: "a tracer in a set registers another ops on its own site",
		set: sets(model.Scenario{
			Ops:   []model.Ops{live("A", relevant), starting(live("B", relevant), model.Register("C")), on("C", relevant)},
			Tasks: calls(relevant, relevant),
		}),
	},
}
