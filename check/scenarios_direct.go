package check

import (
	"slices"

	"callops/check/internal/model"
	"callops/ftrace"
	"callops/trampolines"
)

func far(o model.Ops) model.Ops    { o.Far = true; return o }
func late(o model.Ops) model.Ops   { o.Late = true; return o }
func shares(o model.Ops) model.Ops { o.Shares = true; return o }

// moves says which functions come to an ops' second piece of code.
func moves(o model.Ops, functions ...string) model.Ops { o.Moves = functions; return o }

// opsScenarios are of Linux's design, an ops for each address.
var opsScenarios = []Scenario{
	{
		Name:  "direct-attach",
		About: "an ops with a direct call is registered",
		set: model.Scenario{
			Fixmap:  true,
			Ops:     []model.Ops{direct(far(on("D", relevant)))},
			Threads: does(model.Register("D")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "direct-detach",
		About: "an ops with a direct call is unregistered and freed",
		set: model.Scenario{
			Ops:     []model.Ops{direct(far(live("D", relevant)))},
			Threads: does(model.Unregister("D"), model.FreeDirect("D")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "direct-far-modify",
		About: "direct-modify, with code out of the site's reach",
		set: model.Scenario{
			Ops:     []model.Ops{direct(far(live("D", relevant)))},
			Threads: does(model.Modify("D"), model.Retire("D")),
			Tasks:   calls(relevant, relevant),
		},
	},
	{
		Name:  "direct-far-shared",
		About: "direct-shared, with code out of the site's reach",
		set: model.Scenario{
			Ops:     []model.Ops{direct(far(live("D", relevant))), on("A", relevant)},
			Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant),
		},
	},
	{
		Name:  "direct-ipmodify",
		About: "an ops with IPMODIFY joins and leaves a site whose direct call shares it",
		set: model.Scenario{
			Ops:     []model.Ops{shares(direct(far(live("D", relevant)))), flagged(on("A", relevant), ftrace.OpsIPModify)},
			Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
			Tasks:   calls(relevant),
		},
	},
}

// directScenarios are opsScenarios, and those of the designs in which one ops has all direct calls, the same for each.
// D is that ops. Its code is out of the sites' reach, so that calls go through ftrace_caller, but
// in "near".
func directScenarios() []Scenario {
	all := slices.Clone(opsScenarios)
	for _, design := range trampolines.Directs() {
		of := ofDirectCalls
		switch design {
		case trampolines.DirectOps:
			continue
		case trampolines.DirectJump:
			of = ofJumps
		}
		for _, sc := range of() {
			sc.Name, sc.About = design.String()+"-"+sc.Name, "direct calls "+design.String()+": "+sc.About
			sc.set.Direct = design
			all = append(all, sc)
		}
	}
	return all
}

// ofJumps are those of an ops for each address, whose site jumps to it.
func ofJumps() []Scenario {
	near := direct(live("D", relevant))
	return []Scenario{
		{
			Name:  "attach",
			About: "an ops whose site jumps is registered",
			set: model.Scenario{
				Fixmap:  true,
				Ops:     []model.Ops{direct(on("D", relevant))},
				Threads: does(model.Register("D")),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "detach",
			About: "an ops whose site jumps is unregistered and freed",
			set: model.Scenario{
				Ops:     []model.Ops{near},
				Threads: does(model.Unregister("D"), model.FreeDirect("D")),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "modify",
			About: "the site jumps to another address, and the first one's code is freed",
			set: model.Scenario{
				Ops:     []model.Ops{near},
				Threads: does(model.Modify("D"), model.Retire("D")),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "shared",
			About: "a tracer joins and leaves a site that jumps",
			set: model.Scenario{
				Ops:     []model.Ops{near, on("A", relevant)},
				Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
				Tasks:   calls(relevant),
			},
		},
		{
			Name:  "far-shared",
			About: "shared, with code that ftrace_caller has to jump to",
			set: model.Scenario{
				Ops:     []model.Ops{far(near), on("A", relevant)},
				Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
				Tasks:   calls(relevant),
			},
		},
	}
}

// ofDirectCalls are those of one design.
func ofDirectCalls() []Scenario {
	var (
		fresh = static(direct(far(on("D"))))
		has   = func(functions ...string) model.Ops { return static(direct(far(live("D", functions...)))) }
		each  = []model.Task{{Calls: []string{relevant, relevant}}, {Calls: []string{irrelevant, irrelevant}}}
	)
	return []Scenario{
		{
			Name:  "attach",
			About: "the ops gets its first call, then a second one at another site",
			set: model.Scenario{
				Ops:     []model.Ops{fresh},
				Threads: does(model.Attach("D", relevant), model.Attach("D", irrelevant)),
				Tasks:   each,
			},
		},
		{
			Name:  "detach",
			About: "the ops loses one of two calls, then the last one",
			set: model.Scenario{
				Ops:     []model.Ops{has(relevant, irrelevant)},
				Threads: does(model.Detach("D", relevant), model.Detach("D", irrelevant)),
				Tasks:   each,
			},
		},
		{
			Name:  "replace",
			About: "the last call leaves, and a tracer takes its site",
			set: model.Scenario{
				Ops:     []model.Ops{has(relevant), on("A", relevant)},
				Threads: does(model.Detach("D", relevant), model.Register("A")),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "modify",
			About: "a site calls another address, and the first one's code is freed",
			set: model.Scenario{
				Ops:     []model.Ops{has(relevant)},
				Threads: does(model.Move("D", relevant), model.Retire("D")),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "place",
			About: "modify, with code that is written first",
			set: model.Scenario{
				Ops:     []model.Ops{late(has(relevant))},
				Threads: does(model.Place("D"), model.Move("D", relevant)),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "modify-near",
			About: "modify, with code in the site's reach: a BL for another",
			set: model.Scenario{
				Ops:     []model.Ops{static(direct(live("D", relevant)))},
				Threads: does(model.Move("D", relevant), model.Retire("D")),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "modify-one",
			About: "one of two sites with the same address calls another",
			set: model.Scenario{
				Ops:     []model.Ops{moves(has(relevant, irrelevant), relevant)},
				Threads: does(model.Move("D", relevant)),
				Tasks:   each,
			},
		},
		{
			Name:  "modify-idle",
			About: "modify, while a CPU's idle loop calls the function",
			set: model.Scenario{
				Ops:     []model.Ops{has(relevant)},
				Threads: does(model.Move("D", relevant)),
				Tasks:   []model.Task{{Calls: []string{relevant, relevant}, Idle: true}, {Calls: []string{relevant, relevant}}},
			},
		},
		{
			Name:  "shared",
			About: "a tracer joins and leaves a site with a direct call",
			set: model.Scenario{
				Ops:     []model.Ops{has(relevant), on("A", relevant)},
				Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
				Tasks:   calls(relevant),
			},
		},
		{
			Name:  "shared-near",
			About: "shared, with code in the site's reach",
			set: model.Scenario{
				Ops:     []model.Ops{static(direct(live("D", relevant))), on("A", relevant)},
				Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
				Tasks:   calls(relevant),
			},
		},
		{
			Name:  "modify-shared",
			About: "modify, beside a tracer",
			set: model.Scenario{
				Ops:     []model.Ops{has(relevant), live("A", relevant)},
				Threads: does(model.Move("D", relevant), model.Retire("D")),
				Tasks:   calls(relevant, relevant),
			},
		},
		{
			Name:  "join",
			About: "a direct call joins a tracer's site and leaves it",
			set: model.Scenario{
				Ops:     []model.Ops{fresh, live("A", relevant)},
				Threads: does(model.Attach("D", relevant), model.Detach("D", relevant)),
				Tasks:   calls(relevant),
			},
		},
		{
			Name:  "join-two",
			About: "a direct call joins a site that two tracers share",
			set: model.Scenario{
				Ops:     []model.Ops{fresh, live("A", relevant), live("B", relevant)},
				Threads: does(model.Attach("D", relevant)),
				Tasks:   calls(relevant),
			},
		},
		{
			Name:  "leave-two",
			About: "a direct call leaves a site that two tracers share, and its code is freed",
			set: model.Scenario{
				Ops:     []model.Ops{has(relevant), live("A", relevant), live("B", relevant)},
				Threads: does(model.Detach("D", relevant), model.Retire("D")),
				Tasks:   calls(relevant),
			},
		},
		{
			Name:  "ipmodify",
			About: "an ops with IPMODIFY joins and leaves a site whose direct call shares it",
			set: model.Scenario{
				Ops:     []model.Ops{shares(has(relevant)), flagged(on("A", relevant), ftrace.OpsIPModify)},
				Threads: does(model.Register("A"), model.Unregister("A"), model.Free("A")),
				Tasks:   calls(relevant),
			},
		},
	}
}
