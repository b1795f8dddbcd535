package check

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/kernelimage"
)

// subject is a scenario made ready to be searched.
type subject struct {
	base  base
	sc    *Scenario
	kinds []int // by CPU
	whole bool  // not reduced
	m     *machine
	p     *program
	g     *guest.Machine
	read  map[int]bool // locations that CPUs are known to read
}

// usualCPUs is how many a scenario has unless it is told, or has more tasks.
const usualCPUs = 2

// prepare sets a scenario up and records what the core does in it.
func prepare(sc *Scenario, mut *Mutation, opts *Options) (*subject, error) {
	cpus := opts.CPUs
	if cpus == 0 {
		cpus = max(len(sc.Tasks), usualCPUs)
	}
	if cpus < len(sc.Tasks) || cpus > maxCPUs {
		return nil, fmt.Errorf("scenario %s: %d CPUs: from %d to %d can be checked", sc.Name, cpus, len(sc.Tasks), maxCPUs)
	}
	b := base{image: opts.Image, own: opts.ImageCode}
	p, err := record(&b, sc, mut)
	if err != nil {
		return nil, err
	}
	m, err := setUp(&b, sc, mut)
	if err != nil {
		return nil, err
	}
	var objects []kernelimage.Range
	for _, o := range p.objects {
		objects = append(objects, o.Range)
	}
	g, err := guest.New(guest.Config{
		Kernel: m.k, History: p.hist, Tasks: p.tasks, Objects: objects,
		Arrive: m.watches(), Ended: m.ended, EachInstruction: opts.NoReduce,
	})
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", sc.Name, err)
	}
	s := &subject{base: b, sc: sc, whole: opts.NoReduce, m: m, p: p, g: g, read: map[int]bool{}}
	for cpu := range cpus {
		s.kinds = append(s.kinds, sc.kind(cpu))
	}
	return s, nil
}

func (s *subject) close() error { return s.m.k.Close() }

// explore searches until nothing has come out that was not known. What each
// kind of task may do it finds out first, on one CPU.
func (s *subject) explore(ctx context.Context, opts *Options) (*model, search.Result, error) {
	for _, kind := range slices.Compact(slices.Clone(s.kinds)) {
		alone := *opts
		alone.Progress = nil
		if m, res, err := s.exploreOn(ctx, []int{kind}, &alone); err != nil {
			return m, res, err
		}
	}
	return s.exploreOn(ctx, s.kinds, opts)
}

func (s *subject) exploreOn(ctx context.Context, kinds []int, opts *Options) (*model, search.Result, error) {
	so := &search.Options{Workers: opts.Workers, Memory: opts.Memory}
	if so.Workers == 0 {
		so.Workers = runtime.GOMAXPROCS(0)
	}
	if so.Memory == 0 {
		so.Memory = defaultMemory
	}
	if opts.Progress != nil {
		so.Progress = func(r search.Result) { opts.Progress(Progress{r.States, r.Transitions, r.Depth}) }
	}
	for {
		m := newModel(s.sc, s.p, s.g, kinds, !s.whole, s.read)
		so.Stop = m.stale
		res, err := search.Explore(ctx, m, so)
		if err != nil || !m.stale() {
			return m, res, err
		}
		for loc := range m.missed {
			s.read[loc] = true
		}
	}
}
