package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"callops/kernelimage"
)

// ErrUnknown is a scenario or mutation that does not exist.
var ErrUnknown = errors.New("unknown")

// Options say how a scenario is searched; the zero value searches all of it.
type Options struct {
	CPUs    int // 2 when 0, or one for each task of the scenario
	Workers int // GOMAXPROCS when 0
	Memory  int // bytes for the states seen, after which the search is given up; 4 GiB when 0

	// Image is the kernel to set scenarios up on, the built-in one when nil. Two
	// of its functions that do nothing are traced. With ImageCode its own
	// ftrace_caller and list function are checked in the place of callops'.
	// Scenarios that are for another kind of kernel are ErrUnfit.
	Image     *kernelimage.Image
	ImageCode bool

	// NoReduce makes every instruction, and every step of the core, a step of
	// the search, and takes every state as it is.
	NoReduce bool

	// Progress is called now and then.
	Progress func(Progress)
}

// Progress says how far a search is.
type Progress struct{ States, Transitions, Depth int }

const defaultMemory = 4 << 30

// Result is what the search of a scenario found.
type Result struct {
	Name string `json:"name"`

	// Complete says that every reachable state was visited, or that a property
	// is broken, by no fewer steps than Violations has. Bound says what ended
	// the search before; what it did not find may be there.
	Complete bool   `json:"complete"`
	Bound    string `json:"bound,omitempty"`

	CPUs        int     `json:"cpus"`
	States      int     `json:"states"`
	Transitions int     `json:"transitions"`
	Depth       int     `json:"depth"`
	Seconds     float64 `json:"seconds"`

	// Finding is the property that is known to be broken here by Linux itself.
	Finding    string            `json:"finding,omitempty"`
	Violations []*Counterexample `json:"violations"`
}

// OK says that what was found is what is known: nothing, or the finding.
func (r *Result) OK() bool {
	if r.Finding == "" {
		return r.Complete && len(r.Violations) == 0
	}
	return len(r.Violations) == 1 && r.Violations[0].Property == r.Finding
}

// Scenarios returns all scenarios.
func Scenarios() []Scenario { return slices.Clone(scenarios) }

// Mutations returns all mutations.
func Mutations() []Mutation { return slices.Clone(mutations) }

// Check searches a scenario, by its name, with a mutation, or none where that
// is "".
func Check(ctx context.Context, scenario, mutation string, opts *Options) (*Result, error) {
	if opts == nil {
		opts = &Options{}
	}
	sc, err := find(scenario)
	if err != nil {
		return nil, err
	}
	mut := none
	if mutation != "" {
		if mut, err = findMutation(mutation); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	s, err := prepare(sc, mut, opts)
	if err != nil {
		return nil, err
	}
	defer s.close()
	_, found, err := s.explore(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", sc.Name, err)
	}
	r := &Result{
		Name: sc.Name, Complete: found.Complete, Bound: found.Bound, CPUs: len(s.kinds), States: found.States,
		Transitions: found.Transitions, Depth: found.Depth, Violations: []*Counterexample{},
	}
	if mut == none {
		r.Finding = sc.Finding
	}
	if found.Broken != nil {
		c, err := shortest(ctx, sc, mut, *opts)
		if err != nil {
			return nil, err
		}
		r.Violations = append(r.Violations, c)
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// Replay goes the way of a counterexample again, and says what it breaks. A
// token that is none, or of another version, matches ErrToken.
//
// Of opts, Image and ImageCode have to be what they were.
func Replay(token string, on *Options) (*Counterexample, error) {
	if on == nil {
		on = &Options{}
	}
	sc, mut, opts, way, err := parseToken(token, &base{image: on.Image, own: on.ImageCode})
	if err != nil {
		return nil, err
	}
	opts.Image, opts.ImageCode = on.Image, on.ImageCode
	s, err := prepare(sc, mut, &opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	defer s.close()
	return s.play(way)
}

func find(name string) (*Scenario, error) {
	for i := range scenarios {
		if scenarios[i].Name == name {
			return &scenarios[i], nil
		}
	}
	return nil, fmt.Errorf("scenario %q: %w", name, ErrUnknown)
}

func findMutation(name string) (*Mutation, error) {
	for i := range mutations {
		if mutations[i].Name == name {
			return &mutations[i], nil
		}
	}
	return nil, fmt.Errorf("mutation %q: %w", name, ErrUnknown)
}
