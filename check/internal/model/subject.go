package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/kernelimage"
)

// MaxCPUs is an arbitrary bound; what can be searched ends before it.
const MaxCPUs = 8

// usualCPUs is how many a scenario has unless Options has another number, or there are more tasks.
const usualCPUs = 2

// Options are what a scenario is set up on, and how.
type Options struct {
	Base
	Fault Fault
	CPUs  int // 0: two, or one for each task

	// Whole makes every instruction, and every step of the core, a step of its
	// own, and takes every state as it is.
	Whole bool

	// Together searches all CPUs together even where each kind of task by itself
	// shows all that can happen.
	Together bool
}

// Subject is a scenario made ready to be searched.
type Subject struct {
	sc    *Scenario
	kinds []int // by CPU
	whole bool  // not reduced
	apart bool  // what holds on one CPU, for each kind of task, holds on all
	m     *Machine
	p     *program
	g     *guest.Machine
	known touches // by CPUs
}

// Prepare sets a scenario up and records what the core does in it. One that is
// for another kind of kernel matches ErrUnfit.
func Prepare(ctx context.Context, sc *Scenario, opts *Options) (s *Subject, err error) {
	cpus := opts.CPUs
	if cpus == 0 {
		cpus = max(len(sc.Tasks), usualCPUs)
	}
	if cpus < len(sc.Tasks) || cpus > MaxCPUs {
		return nil, fmt.Errorf("%d CPUs: from %d to %d can be checked", cpus, len(sc.Tasks), MaxCPUs)
	}
	s = &Subject{sc: sc, whole: opts.Whole, known: touches{read: map[int]bool{}}}
	for cpu := range cpus {
		s.kinds = append(s.kinds, sc.kind(cpu))
	}
	if s.m, err = setUp(ctx, &opts.Base, sc, &opts.Fault); err != nil {
		return nil, err
	}
	if s.p, err = recordAll(ctx, &opts.Base, sc, &opts.Fault, s.m); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.m.made = s.p.made
	s.apart = !opts.Whole && !opts.Together && !s.p.asked()
	var objects []kernelimage.Range
	for _, o := range s.p.objects {
		objects = append(objects, o.Range)
	}
	scratch, err := s.m.returnStacks()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.g, err = guest.New(guest.Config{
		Scratch: scratch,
		Kernel:  s.m.k, History: s.p.hist, Tasks: s.p.tasks, Args: s.m.args(), Objects: objects,
		Arrive: s.m.watches(), Ended: s.m.ended, EachInstruction: opts.Whole,
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close releases the machine.
func (s *Subject) Close() error { return s.m.close() }

// CPUs is how many there are.
func (s *Subject) CPUs() int { return len(s.kinds) }

// Explore searches until nothing has come out that was not known. What each
// kind of task may do it finds out first, on one CPU.
func (s *Subject) Explore(ctx context.Context, opts search.Options) (search.Result, error) {
	_, res, err := s.explore(ctx, opts)
	return res, err
}

// Shortest searches for a shortest way to something broken, in one order, so
// that it is the same each time. It is nil where nothing is.
func (s *Subject) Shortest(ctx context.Context, opts search.Options) (Way, error) {
	opts.Workers, opts.Progress = 1, nil
	m, res, err := s.explore(ctx, opts)
	if err != nil || !res.Broken {
		return nil, err
	}
	trace, err := search.Shortest(ctx, m)
	if err != nil {
		return nil, err
	}
	return m.way(trace)
}

// explore searches what each kind of task may do on one CPU. CPUs do not see one another: all that others do to
// one is to hold up what the patchers and callbacks wait for. So what breaks nothing there breaks nothing on several CPUs,
// unless tracers on them start operations; then, and where something is broken, they are searched
// together. docs/checking.md has the proof.
func (s *Subject) explore(ctx context.Context, opts search.Options) (m *product, res search.Result, err error) {
	all := search.Result{Complete: true}
	for _, kind := range slices.Compact(slices.Clone(s.kinds)) {
		if m, res, err = s.exploreOn(ctx, []int{kind}, opts); err != nil || res.Bound == search.ByMemory {
			return m, res, err
		}
		all.Add(&res)
	}
	if len(s.kinds) == 1 || s.apart && !all.Broken {
		return m, all, nil
	}
	return s.exploreOn(ctx, s.kinds, opts)
}

func (s *Subject) exploreOn(ctx context.Context, kinds []int, opts search.Options) (*product, search.Result, error) {
	for {
		m := newProduct(s.sc, s.p, s.g, kinds, !s.whole, s.known)
		opts.Stop = m.stale
		res, err := search.Explore(ctx, m, &opts)
		// What came out in a level that did not fit depends on which worker was first.
		if err != nil || res.Bound == search.ByMemory || !m.stale() {
			return m, res, err
		}
		s.known.add(&m.missed)
	}
}
