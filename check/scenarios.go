package check

import (
	"slices"

	"callops/check/internal/model"
	"callops/ftrace"
)

const (
	relevant   = model.Relevant
	irrelevant = model.Irrelevant
)

// does is one patcher, which does these operations.
func does(ops ...model.Operation) [][]model.Operation { return [][]model.Operation{ops} }

// calls is what most tasks do: they call functions, one after another.
func calls(functions ...string) []model.Task { return []model.Task{{Calls: functions}} }

// on is an ops that wants some functions.
func on(name string, functions ...string) model.Ops {
	return model.Ops{Name: name, Filter: functions}
}

// live is one that is registered from the beginning.
func live(name string, functions ...string) model.Ops {
	return model.Ops{Name: name, Filter: functions, Registered: true}
}

// graph makes an ops a user of fgraph.
func graph(o model.Ops) model.Ops { o.Graph = true; return o }

func static(o model.Ops) model.Ops                              { o.Static = true; return o }
func direct(o model.Ops) model.Ops                              { o.Direct = true; return o }
func flagged(o model.Ops, flags ftrace.OpsFlag) model.Ops       { o.Flags = flags; return o }
func starting(o model.Ops, operation model.Operation) model.Ops { o.Tracer = &operation; return o }

// scenarios are all that there are.
var scenarios = slices.Concat(linuxScenarios, setScenarios, directScenarios())

// linuxScenarios are of what Linux does.
var linuxScenarios = []Scenario{
	{
		Name:  "enable",
		About: "an ops is registered",
		set: model.Scenario{
			Ops:     []model.Ops{on("A", relevant)},
			Threads: does(model.Register("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:    "enable-strict",
		About:   "enable, with calls that count from the moment at which register returns",
		Finding: CallsMissed,
		set: model.Scenario{
			Ops:     []model.Ops{on("A", relevant)},
			Threads: does(model.Register("A")),
			Tasks:   calls(relevant, relevant),
			Strict:  true,
		},
	},
	{
		Name:  "enable-strict-fixed",
		About: "enable-strict, with every CPU interrupted before register returns",
		set: model.Scenario{
			Ops:     []model.Ops{on("A", relevant)},
			Threads: does(model.Register("A")),
			Tasks:   calls(relevant, relevant),
			Strict:  true,
			Fix:     interruptLast,
		},
	},
	{
		Name:  "disable",
		About: "an ops is unregistered and freed, with its filter and its tracer's code",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant)},
			Threads: does(model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "disable-idle",
		About: "disable, while a CPU's idle loop calls the function",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant)},
			Threads: does(model.Unregister("A"), model.Free("A")),
			Tasks:   []model.Task{{Calls: []string{relevant, relevant}, Idle: true}, {Calls: []string{relevant, relevant}}},
		},
	},
	{
		Name:  "disable-bti",
		About: "disable, in a kernel built with BTI",
		set: model.Scenario{
			BTI:     true,
			Ops:     []model.Ops{live("A", relevant)},
			Threads: does(model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "off-and-on",
		About: "kernel.ftrace_enabled is set to 0 and to 1 again",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant)},
			Threads: does(model.Enable(0), model.Enable(1)),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "second-arrives",
		About: "a second ops joins a site: from unique to the list",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), on("B", relevant)},
			Threads: does(model.Register("B")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "second-leaves",
		About: "the newer of two ops leaves and is freed: from the list to unique",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Unregister("B"), model.Free("B")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "first-leaves",
		About: "the older of two ops, which the newer one points to, leaves and is freed",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "third-arrives",
		About: "an ops joins a list that CPUs walk",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant), on("C", relevant)},
			Threads: does(model.Register("C")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "replace",
		About: "an ops leaves and is freed, then another takes its site",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), on("B", relevant)},
			Threads: does(model.Unregister("A"), model.Free("A"), model.Register("B")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "hand-over",
		About: "another ops joins before the first one leaves and is freed: unique, list, unique",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), on("B", relevant)},
			Threads: does(model.Register("B"), model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "filter-live",
		About: "the filter of a registered ops goes from one function to another, and back",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant)},
			Threads: does(model.Filter("A", irrelevant), model.Filter("A", relevant)),
			Tasks:   []model.Task{{Calls: []string{relevant, relevant}}, {Calls: []string{irrelevant, irrelevant}}},
		},
	},
	{
		Name:  "filter-list",
		About: "the filter of an ops on a shared site is replaced while CPUs look into it",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Filter("A", relevant, irrelevant)),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "two-sites",
		About: "an ops with two sites is registered, unregistered and freed",
		set: model.Scenario{
			Ops:     []model.Ops{on("A", relevant, irrelevant)},
			Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
			Tasks:   []model.Task{{Calls: []string{relevant, irrelevant}}, {Calls: []string{irrelevant, relevant}}},
		},
	},
	{
		Name:  "from-a-tracer",
		About: "a tracer registers another ops on its own site",
		set: model.Scenario{
			Ops:   []model.Ops{starting(live("A", relevant), model.Register("B")), on("B", relevant)},
			Tasks: calls(relevant, relevant),
		},
	},
	{
		Name:  "graph-arrives",
		About: "a graph user is registered: calls are told to it, and their returns",
		set: model.Scenario{
			Ops:     []model.Ops{graph(on("A", relevant))},
			Threads: does(model.Register("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "graph-leaves",
		About: "a graph user leaves and is freed, with its functions, while returns are pending",
		set: model.Scenario{
			Ops:     []model.Ops{graph(live("A", relevant))},
			Threads: does(model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "graph-second",
		About: "a second graph user joins, of another function too, and leaves",
		set: model.Scenario{
			Ops:     []model.Ops{graph(live("A", irrelevant)), graph(on("B", relevant, irrelevant))},
			Threads: does(model.Register("B"), model.Unregister("B"), model.Free("B")),
			Tasks:   []model.Task{{Calls: []string{relevant}}, {Calls: []string{irrelevant}}},
		},
	},
	{
		Name:  "graph-replace",
		About: "a graph user leaves, another one takes its function, and the first one is freed",
		set: model.Scenario{
			Ops:     []model.Ops{graph(live("A", relevant)), graph(on("B", relevant))},
			Threads: does(model.Unregister("A"), model.Register("B"), model.Free("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "graph-beside",
		About: "the last graph user leaves a site that has another ops: the list function looks into its filter",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), graph(live("B", relevant))},
			Threads: does(model.Unregister("B"), model.Free("B")),
			Tasks:   calls(relevant),
		},
	},
	{
		Name:  "graph-tail",
		About: "a graph user arrives, leaves and is freed, while one of its functions tail-calls another one",
		set: model.Scenario{
			Ops:     []model.Ops{graph(on("A", model.TailCaller, model.TailCallee))},
			Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
			Tasks:   calls(model.TailCaller),
		},
	},
	{
		Name:    "filter-idle",
		About:   "filter-list, with one CPU that RCU is not watching",
		Finding: HashFreedUnderReader,
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Filter("A", relevant, irrelevant)),
			Tasks:   []model.Task{{Calls: []string{relevant}, Idle: true, NotWatching: true}, {Calls: []string{relevant}}},
		},
	},
	{
		Name:  "filter-idle-fixed",
		About: "filter-idle, with the hash freed after synchronize_rcu_tasks_rude",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), live("B", relevant)},
			Threads: does(model.Filter("A", relevant, irrelevant)),
			Tasks:   []model.Task{{Calls: []string{relevant}, Idle: true, NotWatching: true}, {Calls: []string{relevant}}},
			Fix:     callRude,
		},
	},
	{
		Name:  "direct-modify",
		About: "an ops with a direct call gets another one, and the first one's code is freed",
		set: model.Scenario{
			Ops:     []model.Ops{direct(live("D", relevant))},
			Threads: does(model.Modify("D"), model.Retire("D")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "direct-shared",
		About: "a tracer joins and leaves a site with a direct call",
		set: model.Scenario{
			Ops:     []model.Ops{direct(live("D", relevant)), on("A", relevant)},
			Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant),
		},
	},
	{
		Name:  "two-patchers",
		About: "one ops leaves and is freed while another joins: ftrace_lock decides which is first",
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), on("B", relevant)},
			Threads: [][]model.Operation{{model.Unregister("A"), model.Free("A")}, {model.Register("B")}},
			Tasks:   calls(relevant),
		},
	},
	{
		Name:  "rcu-idle",
		About: "an ops with the RCU flag, and a CPU that RCU is not watching",
		set: model.Scenario{
			Ops:     []model.Ops{flagged(on("A", relevant), ftrace.OpsRCU)},
			Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
			Tasks:   []model.Task{{Calls: []string{relevant, relevant}, Idle: true, NotWatching: true}, {Calls: []string{relevant, relevant}}},
		},
	},
	{
		Name:    "protection",
		About:   "a plain ops leaves a site to one that asks for recursion protection",
		Finding: ProtectionLost,
		set: model.Scenario{
			Ops:     []model.Ops{live("A", relevant), flagged(live("B", relevant), ftrace.OpsRecursion)},
			Threads: does(model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "protection-fixed",
		About: "protection, with the flags of the remaining ops tested",
		set: model.Scenario{
			FixCallOps: true,
			Ops:        []model.Ops{live("A", relevant), flagged(live("B", relevant), ftrace.OpsRecursion)},
			Threads:    does(model.Unregister("A"), model.Free("A")),
			Tasks:      calls(relevant, relevant),
		},
	},
	{
		Name:  "global-dynamic",
		About: "without CALL_OPS: an ops joins, then a second one, and both leave",
		set: model.Scenario{
			NoCallOps: true,
			Ops:       []model.Ops{on("A", relevant), on("B", relevant)},
			Threads:   does(model.Register("A"), model.Register("B"), model.Unregister("A"), model.Unregister("B")),
			Tasks:     calls(relevant, relevant),
		},
	},
	{
		Name:    "global-static",
		About:   "without CALL_OPS: an ops that is called directly, without the list function",
		Finding: ListEndAsOps,
		set: model.Scenario{
			NoCallOps: true,
			Ops:       []model.Ops{static(on("A", relevant))},
			Threads:   does(model.Register("A")),
			Tasks:     calls(relevant, relevant),
		},
	},
	{
		Name:  "global-static-fixed",
		About: "global-static, with both waits of unregistering instead of the interrupt",
		set: model.Scenario{
			NoCallOps: true,
			Ops:       []model.Ops{static(on("A", relevant))},
			Threads:   does(model.Register("A")),
			Tasks:     calls(relevant, relevant),
			Fix:       waitForInterrupt,
		},
	},
}
