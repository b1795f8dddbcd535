package difftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"callops/asm"
	"callops/emu"
	"callops/emu/record"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
	"callops/kernelimage/module"
	"callops/machine"
)

// Config is what a pair is made of.
type Config struct {
	Image *kernelimage.Image
	// Sites are the call sites that both cores are told of, by their IP; nil: all.
	Sites []uint64
	// Modules are the files that Load steps load.
	Modules []string
	// Commands says that filters are set by commands too (:mod:), for which the kernel has control files
	// opened and written: allocations are then not compared.
	Commands bool
	// Calls are the functions that Call steps call.
	Calls []Callee
	// Order compares the order of stores, cache maintenance, IPIs and grace periods too. The kernel's
	// core then runs one instruction at a time.
	Order bool
	// Mutate changes the machine of the kernel's own core before that starts, for a test of this
	// package's power; nil: nothing.
	Mutate Mutation

	// For a mutated core: what it executes is told to onStep, and a call of it takes at most
	// budget instructions.
	onStep func(cpu emu.CPU, before *emu.Regs)
	budget uint64
}

// Mutation changes a kernel's code.
type Mutation = func(k *kernel.Kernel) error

// Callee is a function with its arguments.
type Callee struct {
	Name string
	Args []uint64
}

// Pair is two machines.
type Pair struct {
	cfg   Config
	ours  *side
	image *side
	steps []Step // that were applied

	succeeded bool   // the last one did
	allocs    uint64 // that it made
	dead      bool   // both died
	leftovers bool   // an ops was freed after that

	literals []literal // of the records
	asked    int       // at which record compareDirects goes on
}

// side is one machine.
type side struct {
	name        string
	m           *machine.Machine
	core        ftrace.Core
	ops         map[int]*ftrace.Ops
	directs     [2]uint64
	calls       []Callee
	files       []string               // of modules
	modules     map[int]*module.Module // loaded, by their files
	counted     map[int]uint32         // calls, by ops
	order       *order                 // nil: it is not compared
	warns       *warnings              // WARN()s since the last comparison
	was         map[uint64]int         // ops by address, those too that were freed lately
	gone        []uint64               // where the latter were, the first freed first
	shared      string                 // what was asked of DIRECT ops since the last comparison
	live        int                    // objects that operations have allocated and not freed
	liveModules int                    // of these, what modules that came have allocated, and those that went not freed

	// failAlloc has the n-th allocation from now on fail, and returns how many there were.
	failAlloc func(n int) uint64
}

// counterSize is that of the counter of ops_func_count, after the ops.
const counterSize = 8

// Difference is a step after which the two cores are not the same.
type Difference struct {
	Steps []Step // up to the one that shows it
	What  string
	Ours  string
	Image string

	crash bool // the kernel's core did not return
}

func (d *Difference) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the cores differ after %d steps in %s: callops' %s, the kernel's %s", len(d.Steps), d.What, d.Ours, d.Image)
	for i, s := range d.Steps {
		fmt.Fprintf(&b, "\n%6d  %s", i+1, s)
	}
	return b.String()
}

// NewPair boots the image twice.
func NewPair(ctx context.Context, cfg Config) (_ *Pair, err error) {
	if cfg.Image == nil {
		return nil, fmt.Errorf("two cores: no image: %w", errno.EINVAL)
	}
	p := &Pair{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.image, err = newSide(ctx, "the kernel's", cfg, func(o *order) *machine.Config {
		mc := &machine.Config{Guest: &guestcore.Options{Sites: cfg.Sites, Before: cfg.Mutate, OnStep: cfg.onStep, Budget: cfg.budget}}
		if o != nil {
			o.image(mc)
		}
		return mc
	}); err != nil {
		return nil, err
	}
	p.image.failAlloc = p.image.nthOfServices
	fails, warns := &failing{}, &warnings{}
	p.ours, err = newSide(ctx, "callops'", cfg, func(o *order) *machine.Config {
		mc := &machine.Config{}
		opts := &ftrace.Options{ImageCode: true, PlainOps: true, Sites: cfg.Sites, FailAlloc: fails.fails, Printk: warns.line}
		if mc.Ftrace = machine.Options(opts); o != nil {
			o.ours(mc, opts)
		}
		return mc
	})
	if err == nil {
		p.ours.failAlloc, p.ours.warns = fails.nth, warns
	}
	return p, err
}

func newSide(ctx context.Context, name string, cfg Config, config func(*order) *machine.Config) (*side, error) {
	s := &side{
		name: name, ops: make(map[int]*ftrace.Ops), was: make(map[uint64]int), calls: cfg.Calls, files: cfg.Modules,
		modules: make(map[int]*module.Module), counted: make(map[int]uint32), warns: &warnings{},
	}
	if cfg.Order {
		s.order = &order{s: s}
	}
	mc := config(s.order)
	if cfg.Order {
		mc.CPUs, mc.Unscheduled = 2, true // IPIs go to another CPU
	}
	mc.Image = cfg.Image
	mc.Printk = func(l services.Line) { s.warns.line(l.Text) }
	mc.Warn = func(b *kernel.Bug) { s.warns.add(b.String()) }
	var err error
	if s.m, err = machine.New(ctx, mc); err != nil {
		return nil, err
	}
	s.core = s.m.Ftrace
	if s.order != nil {
		s.order.cpu, _ = s.m.Kernel.CPUs[0].CPU.(*record.CPU)
	}
	if err := s.placeDirects(); err != nil {
		return nil, errors.Join(err, s.m.Close())
	}
	s.watch()
	return s, nil
}

// placeDirects makes two direct trampolines: each resumes the traced function at once. The
// first is the kernel's own, where it has one.
func (s *side) placeDirects() error {
	p, err := s.m.Kernel.PlaceCode("direct", kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		for i := range s.directs {
			b.Func(fmt.Sprintf("direct%d", i))
			b.Emit(asm.Bti(asm.BTIC), asm.Mov(asm.X10, asm.LR), asm.Mov(asm.LR, asm.X9), asm.RetReg(asm.X10))
		}
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return err
	}
	for i := range s.directs {
		s.directs[i] = p.Symbols[i].Addr
	}
	return nil
}

// Close closes both machines.
func (p *Pair) Close() error {
	var errs []error
	for _, s := range []*side{p.ours, p.image} {
		if s != nil {
			errs = append(errs, s.m.Close())
		}
	}
	return errors.Join(errs...)
}

// Steps returns the steps that were applied.
func (p *Pair) Steps() []Step { return slices.Clone(p.steps) }

// Allocations is how many allocations that can fail the last step made.
func (p *Pair) Allocations() uint64 { return p.allocs }

// Apply does a step on both, and compares; a [*Difference] where they differ. Files, too,
// compares what control files print. Once a module comes or goes where ftrace is dead on both, only
// what a step returns is compared.
func (p *Pair) Apply(ctx context.Context, step Step, files bool) error {
	if step.Verb == Call && p.leftovers { // a site may still call it: undefined
		return nil
	}
	p.steps = append(p.steps, step)
	ours, image := p.ours.apply(ctx, step), p.image.apply(ctx, step)
	p.succeeded, p.allocs = ours.err == nil, ours.allocs
	p.leftovers = p.leftovers || step.Verb == Free && p.died()
	if err := p.compareResults(ours, image); err != nil {
		return err
	}
	if p.dead = p.dead || step.Verb.module() && p.died(); p.dead { // Linux leaves the records of modules that come and go then
		return nil
	}
	if err := p.compareOrder(); err != nil {
		return err
	}
	return p.compare(files)
}

// result is what a step gave.
type result struct {
	err   error
	x0    uint64
	insns uint64
	saw   string // what Look found, and what DIRECT ops were asked
	warns string // the first WARN()
	log   string // what else was logged

	allocs uint64 // that could have failed
}

func (s *side) apply(ctx context.Context, step Step) (res result) {
	allocs, live := s.failAlloc(step.Fail), s.live
	defer func() {
		res.allocs = s.failAlloc(0) - allocs
		res.saw, s.shared = res.saw+s.shared, ""
		res.warns, res.log = s.warns.take()
		res.log = addresses.ReplaceAllStringFunc(res.log, s.nameAddress)
		if step.Verb.module() {
			res.allocs = 0 // records are allocated too
			s.liveModules += s.live - live
		}
	}()
	if s.order != nil && step.Verb.ordered() {
		s.order.observe(true)
		defer s.order.observe(false)
	}
	o := s.ops[step.Ops]
	filter := &ftrace.FilterOptions{Reset: step.Reset, Remove: step.Remove}
	switch step.Verb {
	case New, NewStatic, NewDirect:
		if s.ops[step.Ops], res.err = s.newOps(step); res.err == nil {
			s.was[s.ops[step.Ops].Addr()] = step.Ops
		}
	case Filter:
		res.err = s.core.SetFilterIPs(o, step.Sites, filter)
	case Glob:
		res.err = s.core.SetFilter(o, step.Pattern, filter)
	case Notrace:
		res.err = s.core.SetNotrace(o, step.Pattern, filter)
	case Register:
		res.err = s.core.Register(o)
	case Unregister:
		res.err = s.core.Unregister(o)
	case RegisterDirect:
		res.err = s.core.RegisterDirect(o, s.directs[step.Value])
	case UnregisterDirect:
		res.err = s.core.UnregisterDirect(o, s.directs[step.Value])
	case ModifyDirect:
		res.err = s.core.ModifyDirect(o, s.directs[step.Value])
	case Free:
		if res.err = s.core.FreeFilter(o); res.err == nil {
			res.err = s.core.FreeOps(o)
			s.freed(step.Ops)
		}
	case Switch:
		res.err = s.core.SetEnabled(step.Value)
	case Call:
		res = s.call(ctx, s.calls[step.Value])
	case Load:
		res = s.load(ctx, step)
	case Unload:
		if res.err = s.m.Kernel.Unload(s.modules[step.Value]); res.err == nil {
			delete(s.modules, step.Value)
		}
	case Look:
		res.saw = s.look(o, step.Sites)
	case Kill:
		s.core.Kill()
	case Break:
		res.err = s.m.Kernel.Mem.Store32(step.Sites[0], uint32(step.Value))
		s.m.Kernel.Mem.SyncText(step.Sites[0], 4)
	}
	return res
}

// load loads a module; the result is where it lies.
func (s *side) load(ctx context.Context, step Step) (res result) {
	m, err := s.m.Kernel.LoadModuleFile(ctx, s.files[step.Value], &kernel.ModuleOptions{Far: step.Far})
	if err != nil {
		return result{err: err}
	}
	s.modules[step.Value] = m
	return result{x0: m.Image.Bounds().Start}
}

func (s *side) newOps(step Step) (*ftrace.Ops, error) {
	name := fmt.Sprintf("ops%d", step.Ops)
	if step.Verb == NewDirect {
		o, err := s.core.NewDirectOps(name)
		if err == nil {
			o.Share = s.share(name, step.Value)
		}
		return o, err
	}
	return s.core.NewOps(name, s.core.Code().OpsFuncCount, &ftrace.OpsOptions{
		Flags: step.Flags, Extra: counterSize, Static: step.Verb == NewStatic,
	})
}

// call calls a function, whose tracers count in machine code.
func (s *side) call(ctx context.Context, callee Callee) (res result) {
	for i, o := range s.ops {
		s.newCalls(i, o) // the kernel's core calls functions that are traced
	}
	r, err := s.m.Kernel.CallName(ctx, 0, nil, callee.Name, callee.Args...)
	return result{err: err, x0: r.X0, insns: r.Count}
}
