package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"callops/emu"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/machine"
)

// counterSize is the sample tracer's counter, which follows its ops.
const counterSize = 4

// rig is a kernel with ftrace and the call loop, for one engine and scheme.
type rig struct {
	*machine.Machine
	around func(m *machine.Machine, measure func() error) error // see Config.Around
	k      *kernel.Kernel
	ftrace ftrace.Core
	loop   *callLoop
	tracee kernelimage.Site
	calls  int
	budget uint64 // of a call of the tracee, in instructions

	irrelevant kernelimage.Site
	tracer     uint64
	flags      ftrace.OpsFlag
	counts     bool      // the tracer does
	graph      *graphRig // nil: relevant ops are plain ones
}

// measured is what one scenario took.
type measured struct {
	insns      uint64 // of all iterations, on all CPUs
	elapsed    time.Duration
	trampoline int
	callbacks  uint64
}

func newRig(ctx context.Context, cfg *Config, engine Engine, scheme ftrace.Scheme) (*rig, error) {
	img, err := imageFor(cfg, scheme)
	if err != nil {
		return nil, err
	}
	mc := &machine.Config{Image: img, Engine: engine.New, Modules: cfg.Modules, CPUs: cfg.CPUs}
	cfg.core(mc, scheme)
	around := func(_ *machine.Machine, measure func() error) error { return measure() }
	if cfg.Around != nil {
		around = cfg.Around(mc)
	}
	m, err := machine.New(ctx, mc)
	if err != nil {
		return nil, err
	}
	r := &rig{Machine: m, around: around, k: m.Kernel, ftrace: m.Ftrace, calls: cfg.Calls, budget: cfg.Budget, flags: cfg.OpsFlags, counts: cfg.Tracer == TracerCount}
	if err := r.setUp(cfg); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// core has a machine run the ftrace that is measured.
func (c *Config) core(mc *machine.Config, scheme ftrace.Scheme) {
	if c.ImageCore {
		mc.Guest = &guestcore.Options{}
		mc.Warn = func(*kernel.Bug) {} // as callops' own, which goes on too
		return
	}
	mc.Ftrace = machine.Options(&ftrace.Options{Scheme: scheme, Direct: c.Direct, ImageCode: c.ImageTrampolines})
}

// imageFor returns the configured image, or the built-in kernel as a compiler
// would build it for the scheme.
func imageFor(cfg *Config, scheme ftrace.Scheme) (*kernelimage.Image, error) {
	if cfg.Image != nil {
		return cfg.Image, nil
	}
	return kernelimage.Builtin(&kernelimage.BuiltinOptions{NoCallOps: !hasLiterals(scheme)})
}

func (r *rig) setUp(cfg *Config) error {
	var err error
	if r.loop, err = loadLoop(r.k, cfg.Args); err != nil {
		return err
	}
	if r.tracee, err = r.site("tracee", cfg.Tracee); err != nil {
		return err
	}
	code := r.ftrace.Code()
	r.tracer = code.OpsFuncNop
	if r.counts {
		r.tracer = code.OpsFuncCount
	}
	if cfg.Tracer == TracerGraph {
		r.graph, err = newGraphRig(r.ftrace, r.k)
	}
	return err
}

// site returns the call site of a function.
func (r *rig) site(what, name string) (kernelimage.Site, error) {
	addr, err := r.k.Func(name)
	if err != nil {
		return kernelimage.Site{}, fmt.Errorf("%s: %w", what, err)
	}
	site, ok := r.k.Site(addr)
	if !ok {
		return kernelimage.Site{}, fmt.Errorf("%s: %s has no call site: %w", what, name, errno.EINVAL)
	}
	return site, nil
}

// measure registers the scenario's ops, makes the calls, and unregisters them.
func (r *rig) measure(ctx context.Context, s scenario) (m measured, err error) {
	ops, err := r.place(ctx, s)
	defer func() { err = errors.Join(err, r.release(ops)) }()
	if err != nil {
		return m, err
	}
	return r.run(ctx, ops)
}

// place registers the scenario's ops. Those it returns are to be released, on
// an error too.
func (r *rig) place(ctx context.Context, s scenario) ([]*ftrace.Ops, error) {
	if r.graph != nil {
		return r.graph.register(ctx, r.ftrace, r.tracee.IP, s.relevant)
	}
	ops, err := r.register(ctx, "relevant", r.tracee, s.relevant, r.tracer)
	if err != nil {
		return ops, err
	}
	irrelevant, err := r.register(ctx, "irrelevant", r.irrelevant, s.irrelevant, r.tracer)
	return append(ops, irrelevant...), err
}

func (r *rig) run(ctx context.Context, ops []*ftrace.Ops) (m measured, err error) {
	// One call before the clock starts has an engine translate what it will
	// run; it is not counted.
	if _, err := r.call(ctx, nil, 1); err != nil {
		return m, err
	}
	around, err := r.call(ctx, nil, 0)
	if err != nil {
		return m, err
	}
	before, err := r.callbacks(ops)
	if err != nil {
		return m, err
	}
	start := time.Now()
	all, err := r.callOnEach(ctx, r.calls)
	m.elapsed = time.Since(start)
	if err != nil {
		return m, err
	}
	after, err := r.callbacks(ops)
	if err != nil {
		return m, err
	}
	m.insns = all - uint64(r.Callers())*around.Count
	for i := range after {
		m.callbacks += uint64(after[i] - before[i]) // the counters wrap
	}
	m.trampoline, err = r.trampoline(ctx)
	return m, err
}

// call makes the loop call the tracee n times on one CPU, each within the budget.
func (r *rig) call(ctx context.Context, opts *emu.CallOptions, n int) (emu.Result, error) {
	if opts == nil {
		opts = r.budgetOf(n)
	}
	var res emu.Result
	err := r.One(ctx, func(c *machine.Caller) (err error) {
		res, err = r.loopOn(c, opts, n)
		return err
	})
	return res, err
}

// callOnEach is call on every CPU at the same time, n times each, and returns what all
// have executed.
func (r *rig) callOnEach(ctx context.Context, n int) (insns uint64, err error) {
	var all atomic.Uint64
	err = r.Each(ctx, func(c *machine.Caller) error {
		res, err := r.loopOn(c, r.budgetOf(n), n)
		all.Add(res.Count)
		return err
	})
	return all.Load(), err
}

func (r *rig) loopOn(c *machine.Caller, opts *emu.CallOptions, n int) (emu.Result, error) {
	return c.Call(opts, r.loop.addr, r.tracee.Func(), uint64(n), r.loop.args)
}

// budgetOf is the budget for n calls.
func (r *rig) budgetOf(n int) *emu.CallOptions {
	return &emu.CallOptions{Budget: r.budget * uint64(max(n, 1))}
}

// register makes n ops with a filter of one site each, and registers them.
// Those it returns are to be released, on an error too.
func (r *rig) register(ctx context.Context, name string, site kernelimage.Site, n int, tracer uint64) ([]*ftrace.Ops, error) {
	var made []*ftrace.Ops
	for i := range n {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		o, err := r.ftrace.NewOps(fmt.Sprintf("%s%d", name, i), tracer, &ftrace.OpsOptions{Flags: r.flags, Extra: counterSize})
		if err != nil {
			return made, err
		}
		made = append(made, o)
		if err := r.ftrace.SetFilterIP(o, site.IP, nil); err != nil {
			return made, err
		}
		if err := r.ftrace.Register(o); err != nil {
			return made, err
		}
	}
	return made, nil
}

// release unregisters and frees ops, the first ones first, as the sample does.
func (r *rig) release(ops []*ftrace.Ops) error {
	if r.graph != nil {
		return r.graph.release(ops)
	}
	for _, o := range slices.Backward(ops) { // the newest is found first
		if o.Flags()&ftrace.OpsEnabled != 0 {
			if err := r.ftrace.Unregister(o); err != nil {
				return err
			}
		}
		if err := errors.Join(r.ftrace.FreeFilter(o), r.ftrace.FreeOps(o)); err != nil {
			return err
		}
	}
	return nil
}

// callbacks reads the ops' counters.
func (r *rig) callbacks(ops []*ftrace.Ops) ([]uint32, error) {
	if !r.counts {
		return nil, nil
	}
	counts := make([]uint32, len(ops))
	for i, o := range ops {
		var err error
		if counts[i], err = r.k.Mem.Load32(o.Addr() + uint64(r.k.Layout.Ops.Size)); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// trampoline counts the instructions of ftrace_caller in one call of the
// tracee, one by one.
func (r *rig) trampoline(ctx context.Context) (int, error) {
	n := 0
	code := r.ftrace.Code()
	_, err := r.call(ctx, &emu.CallOptions{Budget: r.budget, OnStep: func(cpu emu.CPU, before *emu.Regs) {
		if before.PC >= code.Caller && before.PC < code.CallerEnd {
			n++
		}
		// The traced call is over where the tracee's own code begins. Nothing
		// of the caller's has been saved there, so returning at once is safe,
		// and a long function need not be stepped through.
		if regs := cpu.Regs(); regs.PC == r.tracee.IP+4 {
			regs.PC = regs.X[30]
		}
	}}, 1)
	return n, err
}
