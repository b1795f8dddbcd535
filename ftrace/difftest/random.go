package difftest

import (
	"context"
	"math/rand/v2"
	"slices"

	"callops/ftrace"
)

// Random makes steps that are possible after those that it made before: an ops is made
// before it is used, and not used after it was freed. What the kernel does with others is
// not defined.
type Random struct {
	*rand.Rand
	Sites    []uint64
	Patterns []string // of functions, for filters by name
	Calls    int
	Fail     bool // let allocations fail, now and then

	ops  []opsState
	next int
}

// opsState is what is known of an ops that was made.
type opsState struct {
	place    int
	direct   bool
	filtered bool // it has a filter hash
	flags    ftrace.OpsFlag
}

// mostOps is how many there are at a time.
const mostOps = 8

// flagSets are flags of new ops, the plain ones more often.
var flagSets = []ftrace.OpsFlag{
	0, 0, 0, 0, 0,
	ftrace.OpsRecursion, ftrace.OpsRCU, ftrace.OpsRecursion | ftrace.OpsRCU,
	ftrace.OpsSaveRegsIfSupported, ftrace.OpsSaveRegs, ftrace.OpsIPModify, ftrace.OpsStub, ftrace.OpsPermanent,
	ftrace.OpsSaveRegsIfSupported | ftrace.OpsIPModify,
}

// Next makes a step.
func (r *Random) Next() Step {
	if len(r.ops) == 0 || len(r.ops) < mostOps && r.IntN(8) == 0 {
		return r.make()
	}
	i := r.IntN(len(r.ops))
	o := &r.ops[i]
	step := Step{Ops: o.place}
	if r.Fail && r.IntN(16) == 0 {
		step.Fail = 1 + r.IntN(4)
	}
	switch n := r.IntN(100); {
	case n < 25:
		r.filter(&step, o)
	case n < 30 && len(r.Patterns) > 0:
		step.Verb = Glob
		if r.IntN(3) == 0 {
			step.Verb = Notrace
		}
		step.Pattern = r.Patterns[r.IntN(len(r.Patterns))]
		step.Reset, step.Remove = r.IntN(2) == 0, r.IntN(4) == 0
	case n < 36:
		return r.free(i)
	case n < 42:
		step = Step{Verb: Switch, Value: r.IntN(3) - r.IntN(2)}
	case n < 62 && r.Calls > 0:
		step = Step{Verb: Call, Value: r.IntN(r.Calls)}
	case o.direct:
		step.Verb = []Verb{RegisterDirect, RegisterDirect, UnregisterDirect, UnregisterDirect, ModifyDirect}[r.IntN(5)]
		step.Value = r.IntN(2)
	case n < 82 || r.undefined(o):
		r.register(&step, o)
	default:
		step.Verb = Unregister
	}
	return step
}

// undefined reports whether registering an ops or unregistering it reads through a pointer that
// nothing has set: the kernel does so for an IPMODIFY ops without a filter hash.
func (r *Random) undefined(o *opsState) bool { return o.flags&ftrace.OpsIPModify != 0 && !o.filtered }

func (r *Random) register(step *Step, o *opsState) {
	if r.undefined(o) { // likewise
		r.filter(step, o)
		return
	}
	step.Verb = Register
}

func (r *Random) make() Step {
	o := opsState{place: r.next}
	r.next++
	step := Step{Verb: New, Ops: o.place}
	switch r.IntN(6) {
	case 0:
		step.Verb, o.direct = NewDirect, true
	case 1:
		step.Verb = NewStatic
		fallthrough
	default:
		step.Flags = flagSets[r.IntN(len(flagSets))]
		o.flags = step.Flags
	}
	r.ops = append(r.ops, o)
	return step
}

func (r *Random) filter(step *Step, o *opsState) {
	step.Verb = Filter
	for range 1 + r.IntN(4) {
		step.Sites = append(step.Sites, r.Sites[r.IntN(len(r.Sites))])
	}
	step.Reset, step.Remove = r.IntN(3) == 0, r.IntN(3) == 0
}

// Run applies n steps, and compares what control files print after every one of so many.
func (p *Pair) Run(ctx context.Context, r *Random, n, files int) error {
	for i := range n {
		step := r.Next()
		if err := p.Apply(ctx, step, i%files == files-1); err != nil {
			return err
		}
		if p.succeeded {
			r.succeeded(step)
		}
	}
	return nil
}

// free frees an ops. Both cores refuse that while it is registered.
func (r *Random) free(i int) Step { return Step{Verb: Free, Ops: r.ops[i].place} }

// succeeded keeps what a step that succeeded changed.
func (r *Random) succeeded(step Step) {
	for i := range r.ops {
		if r.ops[i].place != step.Ops {
			continue
		}
		switch step.Verb {
		case Filter, Glob:
			r.ops[i].filtered = true
		case Free:
			r.ops = slices.Delete(r.ops, i, i+1)
		}
		return
	}
}
