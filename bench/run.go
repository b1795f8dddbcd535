package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"callops/ftrace"
)

// Run measures every row. An unknown tracee is ENOENT; one without a call
// site, and a configuration that makes no sense, are EINVAL.
func Run(ctx context.Context, cfg *Config) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	res, err := run(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return res, nil
}

// job is all rows of one engine and scheme, on one kernel.
type job struct {
	engine     Engine
	scheme     ftrace.Scheme
	scenarios  []scenario
	rows       []Row
	irrelevant string
}

func run(ctx context.Context, cfg *Config) (*Result, error) {
	var jobs []*job
	total := 0
	for _, e := range cfg.Engines {
		for _, s := range cfg.Schemes {
			rows, err := cfg.scenarios(s)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, &job{engine: e, scheme: s, scenarios: rows})
			total += len(rows)
		}
	}
	p := newProgress(cfg, total)
	// Jobs share nothing, and all run to their end, so that of several that fail
	// it is always the same one's error that is returned.
	errs := make([]error, len(jobs))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, j := range jobs {
		g.Go(func() error {
			errs[i] = j.run(ctx, cfg, p)
			return nil
		})
	}
	_ = g.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	res := &Result{
		Tracee: cfg.Tracee, Calls: cfg.Calls, CPUs: cfg.CPUs, Tracer: cfg.Tracer,
		Irrelevant: jobs[0].irrelevant, AsSample: cfg.asSample(), Code: codeOf(cfg.ImageTrampolines), Core: codeOf(cfg.ImageCore),
	}
	for _, j := range jobs {
		res.Rows = append(res.Rows, j.rows...)
	}
	if !cfg.Registration {
		return res, nil
	}
	// Alone, because it looks at the process's memory.
	for _, j := range jobs {
		reg, err := cfg.registration(ctx, j.engine, j.scheme)
		if err != nil {
			return nil, fmt.Errorf("registration, %s: %w", j.name(), err)
		}
		res.Registration = append(res.Registration, *reg)
	}
	if slices.Contains(cfg.Schemes, ftrace.Sets) {
		var err error
		if res.Sets, err = sets(ctx, cfg.Image, cfg.Engines[0], setLimits...); err != nil {
			return nil, err
		}
	}
	return res, nil
}

func codeOf(image bool) Code {
	if image {
		return CodeImage
	}
	return CodeCallops
}

// asSample reports whether the figures of real kernels are comparable: a tracee
// that does nothing and the sample module's tracer, with nothing asked for, on
// callops' own kernel or on a kernel's own ftrace.
func (c *Config) asSample() bool {
	tracee := c.Image == nil && c.Tracee == DefaultTracee || c.ImageTrampolines && c.Tracee == defaultTracee(c.Image)
	return tracee && c.Tracer == TracerNop && c.OpsFlags == 0 && len(c.Args) <= 2
}

func (j *job) name() string {
	return fmt.Sprintf("%s, scheme %s", j.engine.Name, j.scheme)
}

func (j *job) run(ctx context.Context, cfg *Config, p *progress) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", j.name(), err)
		}
	}()
	r, err := newRig(ctx, cfg, j.engine, j.scheme)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if cfg.Irrelevant != "" || slices.ContainsFunc(j.scenarios, func(s scenario) bool { return s.irrelevant > 0 }) {
		if err := r.chooseIrrelevant(ctx, cfg.Irrelevant); err != nil {
			return err
		}
		j.irrelevant = r.irrelevantName()
	}
	return r.around(r.Machine, func() error { return j.measure(ctx, cfg, r, p) })
}

// measure measures the rows.
func (j *job) measure(ctx context.Context, cfg *Config, r *rig, p *progress) error {
	var base measured
	for i, s := range j.scenarios {
		m, err := r.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%d relevant and %d irrelevant ops: %w", s.relevant, s.irrelevant, err)
		}
		if i == 0 {
			base = m
		}
		j.rows = append(j.rows, j.row(s, m, base, cfg))
		p.done()
	}
	return nil
}

func (j *job) row(s scenario, m, base measured, cfg *Config) Row {
	n := float64(cfg.Calls) * float64(cfg.CPUs)
	return Row{
		Engine: j.engine.Name, Scheme: j.scheme, CallOps: hasLiterals(j.scheme), Relevant: s.relevant, Irrelevant: s.irrelevant,
		PerCall: float64(m.insns) / n,
		// Subtracted as integers, so that no rounding shows.
		Overhead:   float64(int64(m.insns-base.insns)) / n,
		Trampoline: m.trampoline,
		NsPerCall:  float64(m.elapsed.Nanoseconds()) / float64(cfg.Calls),
		Callbacks:  m.callbacks,
	}
}

// progress counts rows and tells Config.Progress.
type progress struct {
	mu       sync.Mutex // guards n, and orders calls of report
	n, total int
	report   func(done, total int)
}

func newProgress(cfg *Config, total int) *progress {
	return &progress{total: total, report: cfg.Progress}
}

func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if p.report != nil {
		p.report(p.n, p.total)
	}
}
