package check

import "callops/ftrace"

const (
	relevant   = "tracee_relevant"
	irrelevant = "tracee_irrelevant"
)

// calls is what most tasks do: they call functions, one after another.
func calls(functions ...string) []Task { return []Task{{Calls: functions}} }

// on is an ops that wants some functions.
func on(name string, functions ...string) Ops { return Ops{Name: name, Filter: functions} }

// live is one that is registered from the beginning.
func live(name string, functions ...string) Ops {
	return Ops{Name: name, Filter: functions, Registered: true}
}

func (o Ops) with(flags ftrace.OpsFlag) Ops { o.Flags = flags; return o }
func (o Ops) static() Ops                   { o.Static = true; return o }
func (o Ops) direct() Ops                   { o.Direct = true; return o }
func (o Ops) doing(op Operation) Ops        { o.Tracer = &op; return o }

// scenarios are all that there are.
var scenarios = []Scenario{
	{
		Name:    "enable",
		About:   "an ops is registered",
		Ops:     []Ops{on("A", relevant)},
		Threads: [][]Operation{{register("A")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "enable-strict",
		About:   "enable, with calls that count from the moment at which register returns",
		Ops:     []Ops{on("A", relevant)},
		Threads: [][]Operation{{register("A")}},
		Tasks:   calls(relevant, relevant),
		Strict:  true,
		Finding: "a registered ops sees every call",
	},
	{
		Name:    "enable-strict-fixed",
		About:   "enable-strict, with every CPU interrupted before register returns",
		Ops:     []Ops{on("A", relevant)},
		Threads: [][]Operation{{register("A")}},
		Tasks:   calls(relevant, relevant),
		Strict:  true,
		fix:     interruptLast,
	},
	{
		Name:    "disable",
		About:   "an ops is unregistered and freed, with its filter and its tracer's code",
		Ops:     []Ops{live("A", relevant)},
		Threads: [][]Operation{{unregister("A"), free("A")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "disable-idle",
		About:   "disable, while a CPU's idle loop calls the function",
		Ops:     []Ops{live("A", relevant)},
		Threads: [][]Operation{{unregister("A"), free("A")}},
		Tasks:   []Task{{Calls: []string{relevant, relevant}, Idle: true}, {Calls: []string{relevant, relevant}}},
	},
	{
		Name:    "disable-bti",
		About:   "disable, in a kernel built with BTI",
		BTI:     true,
		Ops:     []Ops{live("A", relevant)},
		Threads: [][]Operation{{unregister("A"), free("A")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "off-and-on",
		About:   "kernel.ftrace_enabled is set to 0 and to 1 again",
		Ops:     []Ops{live("A", relevant)},
		Threads: [][]Operation{{enabled(0), enabled(1)}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "second-arrives",
		About:   "a second ops joins a site: from unique to the list",
		Ops:     []Ops{live("A", relevant), on("B", relevant)},
		Threads: [][]Operation{{register("B")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "second-leaves",
		About:   "the newer of two ops leaves and is freed: from the list to unique",
		Ops:     []Ops{live("A", relevant), live("B", relevant)},
		Threads: [][]Operation{{unregister("B"), free("B")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "first-leaves",
		About:   "the older of two ops, which the newer one points to, leaves and is freed",
		Ops:     []Ops{live("A", relevant), live("B", relevant)},
		Threads: [][]Operation{{unregister("A"), free("A")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "third-arrives",
		About:   "an ops joins a list that CPUs walk",
		Ops:     []Ops{live("A", relevant), live("B", relevant), on("C", relevant)},
		Threads: [][]Operation{{register("C")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "replace",
		About:   "an ops leaves and is freed, then another takes its site",
		Ops:     []Ops{live("A", relevant), on("B", relevant)},
		Threads: [][]Operation{{unregister("A"), free("A"), register("B")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "hand-over",
		About:   "another ops joins before the first one leaves and is freed: unique, list, unique",
		Ops:     []Ops{live("A", relevant), on("B", relevant)},
		Threads: [][]Operation{{register("B"), unregister("A"), free("A")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "filter-live",
		About:   "the filter of a registered ops goes from one function to another, and back",
		Ops:     []Ops{live("A", relevant)},
		Threads: [][]Operation{{filter("A", irrelevant), filter("A", relevant)}},
		Tasks:   []Task{{Calls: []string{relevant, relevant}}, {Calls: []string{irrelevant, irrelevant}}},
	},
	{
		Name:    "filter-list",
		About:   "the filter of an ops on a shared site is replaced while CPUs look into it",
		Ops:     []Ops{live("A", relevant), live("B", relevant)},
		Threads: [][]Operation{{filter("A", relevant, irrelevant)}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "two-sites",
		About:   "an ops with two sites comes, goes and is freed",
		Ops:     []Ops{on("A", relevant, irrelevant)},
		Threads: [][]Operation{{register("A"), unregister("A"), free("A")}},
		Tasks:   []Task{{Calls: []string{relevant, irrelevant}}, {Calls: []string{irrelevant, relevant}}},
	},
	{
		Name:  "from-a-tracer",
		About: "a tracer registers another ops on its own site",
		Ops:   []Ops{live("A", relevant).doing(register("B")), on("B", relevant)},
		Tasks: calls(relevant, relevant),
	},
	{
		Name:    "filter-idle",
		About:   "filter-list, with one CPU where RCU does not watch",
		Ops:     []Ops{live("A", relevant), live("B", relevant)},
		Threads: [][]Operation{{filter("A", relevant, irrelevant)}},
		Tasks:   []Task{{Calls: []string{relevant}, Idle: true, NotWatching: true}, {Calls: []string{relevant}}},
		Finding: "what is freed is not used",
	},
	{
		Name:    "filter-idle-fixed",
		About:   "filter-idle, with the hash freed behind synchronize_rcu_tasks_rude",
		Ops:     []Ops{live("A", relevant), live("B", relevant)},
		Threads: [][]Operation{{filter("A", relevant, irrelevant)}},
		Tasks:   []Task{{Calls: []string{relevant}, Idle: true, NotWatching: true}, {Calls: []string{relevant}}},
		fix:     callRude,
	},
	{
		Name:    "direct-modify",
		About:   "an ops with a direct call gets another one, and the first one's code is freed",
		Ops:     []Ops{live("D", relevant).direct()},
		Threads: [][]Operation{{modify("D"), retire("D")}},
		Tasks:   calls(relevant, relevant),
	},
	{
		Name:    "direct-shared",
		About:   "a tracer joins and leaves a site with a direct call",
		Ops:     []Ops{live("D", relevant).direct(), on("A", relevant)},
		Threads: [][]Operation{{register("A"), unregister("A"), free("A")}},
		Tasks:   calls(relevant),
	},
	{
		Name:    "two-patchers",
		About:   "one ops leaves and is freed while another joins: ftrace_lock decides who is first",
		Ops:     []Ops{live("A", relevant), on("B", relevant)},
		Threads: [][]Operation{{unregister("A"), free("A")}, {register("B")}},
		Tasks:   calls(relevant),
	},
	{
		Name:    "rcu-idle",
		About:   "an ops with the RCU flag, and a CPU that RCU does not watch",
		Ops:     []Ops{on("A", relevant).with(ftrace.OpsRCU)},
		Threads: [][]Operation{{register("A"), unregister("A"), free("A")}},
		Tasks:   []Task{{Calls: []string{relevant, relevant}, Idle: true, NotWatching: true}, {Calls: []string{relevant, relevant}}},
	},
	{
		Name:    "protection",
		About:   "a plain ops leaves a site to one that asks for recursion protection",
		Ops:     []Ops{live("A", relevant), live("B", relevant).with(ftrace.OpsRecursion)},
		Threads: [][]Operation{{unregister("A"), free("A")}},
		Tasks:   calls(relevant, relevant),
		Finding: "an ops that asks for protection is called with it",
	},
	{
		Name:       "protection-fixed",
		About:      "protection, with the survivor's flags asked",
		FixCallOps: true,
		Ops:        []Ops{live("A", relevant), live("B", relevant).with(ftrace.OpsRecursion)},
		Threads:    [][]Operation{{unregister("A"), free("A")}},
		Tasks:      calls(relevant, relevant),
	},
	{
		Name:      "global-dynamic",
		About:     "without CALL_OPS: an ops comes, a second one, and both go",
		NoCallOps: true,
		Ops:       []Ops{on("A", relevant), on("B", relevant)},
		Threads:   [][]Operation{{register("A"), register("B"), unregister("A"), unregister("B")}},
		Tasks:     calls(relevant, relevant),
	},
	{
		Name:      "global-static",
		About:     "without CALL_OPS: an ops that is called without the list function between",
		NoCallOps: true,
		Ops:       []Ops{on("A", relevant).static()},
		Threads:   [][]Operation{{register("A")}},
		Tasks:     calls(relevant, relevant),
		Finding:   belongs,
	},
	{
		Name:      "global-static-fixed",
		About:     "global-static, with both waits of unregistering in the place of the interrupt",
		NoCallOps: true,
		Ops:       []Ops{on("A", relevant).static()},
		Threads:   [][]Operation{{register("A")}},
		Tasks:     calls(relevant, relevant),
		fix:       waitForInterrupt,
	},
}
