package difftest

import (
	"math/rand/v2"
	"slices"

	"callops/ftrace"
)

// random makes steps that are possible after those that it made before: an ops is made
// before it is used, and not used after it was freed. What the kernel does with others is
// not defined.
type random struct {
	*rand.Rand
	sites    []uint64
	patterns []string // of functions, for filters by name
	calls    int
	modules  int
	commands []string // filters of modules
	noDirect bool     // the kernel has no direct calls

	loaded []uint64 // call sites of modules

	ops     []opsState
	made    int
	statics int
}

// opsState is what is known of an ops that was made.
type opsState struct {
	place    int
	direct   bool
	filtered bool // it has a filter hash
	commands bool // its filter was given one
	live     bool // a DIRECT ops that is registered
	calls    int  // with this direct trampoline
	flags    ftrace.OpsFlag
}

// How many ops there are at a time, and how many static ones, which are never freed.
const (
	mostOps     = 8
	mostStatics = 3
)

// flagSets are flags of new ops, the plain ones more often.
var flagSets = []ftrace.OpsFlag{
	0, 0, 0, 0, 0,
	ftrace.OpsRecursion, ftrace.OpsRCU, ftrace.OpsRecursion | ftrace.OpsRCU,
	ftrace.OpsSaveRegsIfSupported, ftrace.OpsSaveRegs, ftrace.OpsIPModify, ftrace.OpsStub, ftrace.OpsPermanent,
	ftrace.OpsSaveRegsIfSupported | ftrace.OpsIPModify,
}

// next makes a step.
func (r *random) next() Step {
	if len(r.ops) == 0 || len(r.ops) < mostOps && r.IntN(8) == 0 {
		return r.make()
	}
	if r.modules > 0 && r.IntN(24) == 0 {
		step := Step{Verb: Load, Value: r.IntN(r.modules), Far: r.IntN(2) == 0}
		if r.IntN(2) == 0 {
			step.Verb, step.Far = Unload, false
		}
		return step
	}
	i := r.IntN(len(r.ops))
	o := &r.ops[i]
	step := Step{Ops: o.place}
	switch n := r.IntN(100); {
	case n < 21:
		r.filter(&step)
	case n < 25:
		step.Verb = Look
		for range 4 {
			// In a function, in front of it and beside its site.
			step.Sites = append(step.Sites, r.sites[r.IntN(len(r.sites))]+uint64(r.IntN(12)*4)-20)
		}
		return step
	case n < 30 && len(r.patterns) > 0:
		step.Verb = Glob
		if r.IntN(3) == 0 {
			step.Verb = Notrace
		}
		step.Pattern = r.patterns[r.IntN(len(r.patterns))]
		step.Reset, step.Remove = r.IntN(2) == 0, r.IntN(4) == 0
		if len(r.commands) > 0 && r.IntN(2) == 0 && !o.direct && o.flags&ftrace.OpsIPModify == 0 {
			step.Pattern, step.Remove, o.commands = r.commands[r.IntN(len(r.commands))], false, true
		}
		step.Reset = step.Reset && !o.commands // opening the file forgets what waits, whatever is written
	case n < 36:
		return r.free(i)
	case n < 42:
		step = Step{Verb: Switch, Value: r.IntN(3) - r.IntN(2)}
	case n < 62 && r.calls > 0:
		step = Step{Verb: Call, Value: r.IntN(r.calls)}
	case o.direct:
		r.direct(&step, o)
	case n < 82 || r.undefined(o):
		r.register(&step, o)
	default:
		step.Verb = Unregister
	}
	if r.IntN(16) == 0 && len(r.commands) == 0 {
		step.Fail = 1 + r.IntN(1<<r.IntN(6))
	}
	return step
}

// yield is an instruction that no compiler puts at a call site, and that does nothing.
const yield = 0xd503203f

// end makes ftrace's last steps: it is killed, or a site's word is not what ftrace left there.
func (r *random) end(kill bool) Step {
	if kill {
		return Step{Verb: Kill}
	}
	return Step{Verb: Break, Sites: []uint64{r.sites[r.IntN(len(r.sites))]}, Value: yield}
}

// undefined reports whether registering an ops or unregistering it reads through a pointer that
// nothing has set: the kernel does so for an IPMODIFY ops without a filter hash.
func (r *random) undefined(o *opsState) bool { return o.flags&ftrace.OpsIPModify != 0 && !o.filtered }

func (r *random) register(step *Step, o *opsState) {
	if r.undefined(o) { // likewise
		r.filter(step)
		return
	}
	step.Verb = Register
}

// direct is about the direct call of an ops: most of the time what can succeed, and modifies it to
// another address.
func (r *random) direct(step *Step, o *opsState) {
	step.Verb, step.Value = RegisterDirect, r.IntN(2)
	switch {
	case r.IntN(4) == 0:
		step.Verb = RegisterDirect + Verb(r.IntN(3))
	case !o.filtered:
		r.filter(step)
		step.Value = 0
	case o.live && r.IntN(2) == 0:
		step.Verb, step.Value = ModifyDirect, 1-o.calls
	case o.live:
		step.Verb, step.Value = UnregisterDirect, o.calls
	}
}

func (r *random) make() Step {
	o := opsState{place: r.made}
	r.made++
	step := Step{Verb: New, Ops: o.place}
	switch n := r.IntN(6); {
	case n == 0 && !r.noDirect:
		step.Verb, o.direct = NewDirect, true
		step.Value = r.IntN(numShares)
	case n == 1:
		if r.statics < mostStatics {
			step.Verb = NewStatic
			r.statics++
		}
		fallthrough
	default:
		step.Flags = flagSets[r.IntN(len(flagSets))]
		o.flags = step.Flags
	}
	r.ops = append(r.ops, o)
	return step
}

func (r *random) filter(step *Step) {
	step.Verb = Filter
	for range 1 + r.IntN(4) {
		from := r.sites
		if len(r.loaded) > 0 && r.IntN(3) == 0 {
			from = r.loaded
		}
		step.Sites = append(step.Sites, from[r.IntN(len(from))])
	}
	step.Reset, step.Remove = r.IntN(3) == 0, r.IntN(3) == 0
}

// free frees an ops. Both cores refuse that while it is registered.
func (r *random) free(i int) Step { return Step{Verb: Free, Ops: r.ops[i].place} }

// succeeded keeps what a step that succeeded changed.
func (r *random) succeeded(step Step) {
	for i := range r.ops {
		if r.ops[i].place != step.Ops {
			continue
		}
		switch step.Verb {
		case Filter, Glob:
			r.ops[i].filtered = true
		case RegisterDirect, ModifyDirect:
			r.ops[i].live, r.ops[i].calls = true, step.Value
		case UnregisterDirect:
			r.ops[i].live = false
		case Free:
			r.ops = slices.Delete(r.ops, i, i+1)
		}
		return
	}
}

// restart forgets what was made.
func (r *random) restart() { r.ops, r.loaded, r.made, r.statics = nil, nil, 0, 0 }
