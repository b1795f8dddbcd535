package difftest

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"callops/kernelimage"
)

// Soak is a run of random operations.
type Soak struct {
	Image *kernelimage.Image
	Steps int
	Seed  uint64
	// All tells both cores of all call sites, and not only of some hundreds.
	All bool
	// Modules are files of modules that come and go; none where it is empty.
	Modules []string
	// Commands has filters wait for them, see [Config.Commands].
	Commands bool
	// Order is [Config.Order].
	Order bool
	// Mutate is [Config.Mutate].
	Mutate Mutation
	// Shrink is for how long a shorter sequence is looked for after a difference; 0: not at all.
	Shrink time.Duration
	// Done is called now and then with how many steps were applied; nil: nobody asks.
	Done func(steps int)
}

// filesEvery is after how many steps control files are compared, and those of all call sites, which
// take seconds to print; doneEvery is after how many Done is called.
const (
	filesEvery    = 64
	allFilesEvery = 1024
	doneEvery     = 256
)

// Run applies the steps on a pair of machines. A [*Difference] ends it.
func (s *Soak) Run(ctx context.Context) error {
	cfg, r := s.config()
	p, err := NewPair(ctx, cfg)
	if err != nil {
		return err
	}
	for n := 0; n < s.Steps && err == nil; n += doneEvery {
		if s.Done != nil {
			s.Done(n)
		}
		if err = ctx.Err(); err != nil {
			break
		}
		if err = p.run(ctx, r, min(doneEvery, s.Steps-n)); err != nil || !p.dead {
			continue
		}
		// Nothing is left to compare: both return ENODEV from now on.
		if err = p.Close(); err == nil {
			r.restart()
			p, err = NewPair(ctx, cfg)
		}
	}
	if err == nil && s.Steps > 0 && !p.dead {
		err = p.compare(true)
	}
	err = errors.Join(err, p.Close())
	var d *Difference
	if errors.As(err, &d) && s.Shrink > 0 {
		ctx, cancel := context.WithTimeout(ctx, s.Shrink)
		defer cancel()
		return Shrink(ctx, cfg, d)
	}
	return err
}

// endingSteps is how many steps follow the end of ftrace.
const endingSteps = 48

// runToEnd applies n steps, then one that is the end of ftrace, and some more.
func (p *Pair) runToEnd(ctx context.Context, r *random, n int, kill bool) error {
	if err := p.run(ctx, r, n); err != nil {
		return err
	}
	if err := p.Apply(ctx, r.end(kill), true); err != nil {
		return err
	}
	if err := p.run(ctx, r, endingSteps); err != nil || p.dead {
		return err
	}
	return p.compare(true)
}

// run applies n steps.
func (p *Pair) run(ctx context.Context, r *random, n int) error {
	every := filesEvery
	if p.cfg.Sites == nil {
		every = allFilesEvery
	}
	for range n {
		step := r.next()
		if err := p.Apply(ctx, step, len(p.steps)%every == every-1); err != nil {
			return err
		}
		if p.succeeded {
			r.succeeded(step)
			r.loaded = p.moduleSites()
		}
	}
	return nil
}

// callees are functions that compute, and need nothing else.
var callees = []Callee{
	{Name: "int_sqrt", Args: []uint64{1 << 20}},
	{Name: "gcd", Args: []uint64{84, 36}},
	{Name: "lcm", Args: []uint64{84, 36}},
	{Name: "hex_to_bin", Args: []uint64{'c'}},
	{Name: "tracee_relevant"},
}

// patterns are those of filters by name: some match what is called, some all, some nothing.
var patterns = []string{"int_sqrt", "gcd", "*", "nothing*", "!gcd", "i*", "*sqrt", "[gl]c?", "!*", "1", "70000"}

// How many call sites are told of without All, and how many are in filters beside the callees'.
const (
	someSites  = 256
	otherSites = 6
)

// config chooses what the image has: functions to call, call sites, and random steps on
// them.
func (s *Soak) config() (Config, *random) {
	cfg := Config{Image: s.Image, Modules: s.Modules, Commands: s.Commands, Order: s.Order, Mutate: s.Mutate}
	r := &random{
		Rand: rand.New(rand.NewPCG(s.Seed, 0)), patterns: patterns,
		noDirect: s.Image.Layout().Ops.DirectCall == kernelimage.Absent,
	}
	sites := slices.DeleteFunc(s.Image.Sites(), func(site kernelimage.Site) bool { return site.Init })
	ips := make(map[uint64]uint64, len(sites))
	for _, site := range sites {
		ips[site.Func()] = site.IP
	}
	names := make(map[string]uint64)
	for _, sym := range s.Image.Symbols() {
		if ip := ips[sym.Addr]; ip != 0 {
			names[sym.Name] = ip
		}
	}
	for _, c := range callees {
		if ip := names[c.Name]; ip != 0 {
			cfg.Calls = append(cfg.Calls, c)
			r.sites = append(r.sites, ip)
		}
	}
	r.calls, r.modules = len(cfg.Calls), len(cfg.Modules)
	if s.Commands {
		r.commands = commandsFor(s.Modules)
	}
	some := slices.Clone(r.sites)
	for i := 0; i < len(sites); i += max(1, len(sites)/someSites) {
		some = append(some, sites[i].IP)
	}
	r.sites = some[:min(len(some), len(r.sites)+otherSites)]
	if !s.All {
		cfg.Sites = some
	}
	return cfg, r
}

// commandsFor are filters of modules. The closing of a control file has errors of its own, which
// Linux drops, and so takes part in no comparison: a filter that is refused is not one that begins
// anew, and no ops is given one that may not have it.
func commandsFor(modules []string) (commands []string) {
	for _, file := range modules {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		name = strings.ReplaceAll(name, "-", "_")
		commands = append(commands, "*:mod:"+name, "*a*:mod:"+name, "!*:mod:"+name, "!*a*:mod:"+name, "nothing:mod:"+name)
	}
	return commands
}
