package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"callops/check/internal/model"
	"callops/check/internal/search"
	"callops/kernelimage"
)

// Errors that Check and Replay wrap.
var (
	ErrUnknown = errors.New("unknown") // a scenario or mutation that does not exist
	ErrUnfit   = model.ErrUnfit        // one that is for another kind of kernel
)

// MaxCPUs is how many CPUs a scenario can be searched on.
const MaxCPUs = model.MaxCPUs

// Options are how a scenario is searched; the zero value searches all of it.
type Options struct {
	CPUs    int // 2 when 0, or one for each task of the scenario
	Workers int // GOMAXPROCS when 0

	// Memory is how many bytes the states seen may take up, tables of moves
	// included, 4 GiB when 0. A search that needs more is given up. What the
	// collector has not freed yet comes on top; a program that must stay below a
	// bound sets debug.SetMemoryLimit too, as callops check does.
	Memory int

	// Image is the kernel to set scenarios up on, the built-in one when nil. Two
	// of its functions that do nothing are traced. With ImageCode its own
	// ftrace_caller and list function are checked instead of callops'.
	// With ImageCore its own core is the patcher, in the place of callops', and its trampolines
	// are its own: then everything that is checked is the image's machine code.
	// Scenarios that are for another kind of kernel are ErrUnfit.
	Image     *kernelimage.Image
	ImageCode bool
	ImageCore bool

	// Together searches all CPUs together even where they do not depend on one
	// another: then what holds for each kind of task on one CPU holds on any number.
	Together bool

	// NoReduce makes every instruction, and every step of the core, a step of
	// the search, and takes every state as it is. All CPUs are searched together.
	NoReduce bool

	// Progress is called now and then.
	Progress func(Progress)
}

// Progress is how far a search is.
type Progress struct{ States, Transitions, Depth int }

const defaultMemory = 4 << 30

// Result is what the search of a scenario found.
type Result struct {
	Name string `json:"name"`

	// Complete reports whether every reachable state was visited, or a property
	// is broken, by no fewer steps than Violations has. Bound is what ended the
	// search otherwise, "memory"; what it did not find may be there.
	Complete bool   `json:"complete"`
	Bound    string `json:"bound,omitempty"`

	CPUs        int     `json:"cpus"`
	States      int     `json:"states"`
	Transitions int     `json:"transitions"`
	Depth       int     `json:"depth"`
	Seconds     float64 `json:"seconds"` // of the search; not of setting up, nor of the way to what is broken

	// Finding is what is known to be broken here by Linux itself.
	Finding    Finding           `json:"finding,omitempty"`
	Violations []*Counterexample `json:"violations"`
}

// OK reports whether what was found is what is known: nothing, or the finding.
func (r *Result) OK() bool {
	if r.Finding == NoFinding {
		return r.Complete && len(r.Violations) == 0
	}
	return len(r.Violations) == 1 && r.Violations[0].Property == r.Finding.Breaks()
}

// Check searches a scenario, by its name, with a mutation, or none where that
// is "".
func Check(ctx context.Context, scenario, mutation string, opts *Options) (*Result, error) {
	if opts == nil {
		opts = &Options{}
	}
	sc, err := findScenario(scenario)
	if err != nil {
		return nil, err
	}
	mut, err := findMutation(mutation)
	if err != nil {
		return nil, err
	}
	r, err := (&trial{sc, mut, *opts}).search(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what(sc, mut), err)
	}
	return r, nil
}

// Replay goes the way of a counterexample again, and returns what it breaks. A
// token that is none, or of another version, matches ErrToken.
//
// Of on, Image, ImageCode and ImageCore have to be what they were.
func Replay(token string, on *Options) (*Counterexample, error) {
	if on == nil {
		on = &Options{}
	}
	t, way, err := parseToken(token, on)
	if err != nil {
		return nil, err
	}
	s, err := t.prepare(context.Background())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrToken, what(t.sc, t.mut), err)
	}
	defer s.Close()
	c, err := t.explain(s, way)
	if errors.Is(err, model.ErrWay) {
		err = fmt.Errorf("%w: %w", ErrToken, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what(t.sc, t.mut), err)
	}
	return c, nil
}

// what names a search.
func what(sc *Scenario, mut *Mutation) string {
	if mut == none {
		return "scenario " + sc.Name
	}
	return fmt.Sprintf("scenario %s with mutation %s", sc.Name, mut.Name)
}

// trial is a scenario, a fault, and how they are searched.
type trial struct {
	sc   *Scenario
	mut  *Mutation
	opts Options
}

func (t *trial) prepare(ctx context.Context) (*model.Subject, error) {
	return model.Prepare(ctx, &t.sc.set, &model.Options{
		Base: model.Base{Image: t.opts.Image, Own: t.opts.ImageCode || t.opts.ImageCore, Core: t.opts.ImageCore}, Fault: t.mut.fault, CPUs: t.opts.CPUs, Whole: t.opts.NoReduce, Together: t.opts.Together,
	})
}

func (t *trial) search(ctx context.Context) (*Result, error) {
	s, err := t.prepare(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	start := time.Now()
	found, err := s.Explore(ctx, t.bounds())
	if err != nil {
		return nil, err
	}
	r := &Result{
		Name: t.sc.Name, Complete: found.Complete, Bound: found.Bound.String(), CPUs: s.CPUs(), States: found.States,
		Transitions: found.Transitions, Depth: found.Depth, Seconds: time.Since(start).Seconds(), Violations: []*Counterexample{},
	}
	if t.mut == none {
		r.Finding = t.sc.Finding
	}
	if found.Broken {
		c, err := t.shortest(ctx)
		if err != nil {
			return nil, err
		}
		r.Violations = append(r.Violations, c)
	}
	return r, nil
}

// bounds are the options of the search itself.
func (t *trial) bounds() search.Options {
	o := search.Options{Workers: t.opts.Workers, Memory: t.opts.Memory}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if p := t.opts.Progress; p != nil {
		o.Progress = func(r search.Result) { p(Progress{r.States, r.Transitions, r.Depth}) }
	}
	return o
}

// shortest searches for the counterexample anew, on a machine that has searched
// nothing, so that it is the same each time.
func (t *trial) shortest(ctx context.Context) (*Counterexample, error) {
	s, err := t.prepare(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	way, err := s.Shortest(ctx, t.bounds())
	switch {
	case err != nil:
		return nil, err
	case way == nil:
		return nil, errors.New("what was found once was not found again")
	}
	return t.explain(s, way)
}

// explain goes a way and puts it into words.
func (t *trial) explain(s *model.Subject, way model.Way) (*Counterexample, error) {
	c := &Counterexample{
		Scenario: t.sc.Name, Mutation: t.mut.Name, Kernel: kernelOf(&t.opts), CPUs: s.CPUs(), Token: t.token(s.CPUs(), way),
	}
	d := describer{s}
	broke, err := s.Play(way, func(r *model.Report) error {
		c.Steps = append(c.Steps, d.step(r))
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.Property, c.Claim, c.Detail = broke.Property, broke.Property.Claim(), broke.Detail
	return c, nil
}

// kernelOf names the kernel and whose code was checked; "" is the built-in one.
func kernelOf(o *Options) string {
	switch {
	case o.Image == nil:
		return ""
	case o.ImageCore:
		return o.Image.Name() + " with its own core and trampolines"
	case o.ImageCode:
		return o.Image.Name() + " with its own trampolines"
	}
	return o.Image.Name() + " with callops' trampolines"
}
