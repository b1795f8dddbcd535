package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"callops/board"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trace/profile"
)

// BootedConfig describes measurements of a kernel that is booted; Image has to be set.
type BootedConfig struct {
	Image     *kernelimage.Image
	Functions []int // how many are attached to; nil: 1, 1000, 40000

	// Progress is called with the number of ways measured.
	Progress func(done, total int)
}

// BootedResult is what RunBooted measured. Its JSON form is stable.
type BootedResult struct {
	Kernel   string          `json:"kernel"`
	Func     string          `json:"function"` // that is traced
	Triggers []BootedTrigger `json:"triggers"`
	Changes  []BootedChange  `json:"changes"`
}

// BootedTrigger is the price of a call that is traced, in instructions over one that is not, and where they are executed. The site itself executes
// its two in both.
type BootedTrigger struct {
	Way         string `json:"way"`
	Unsupported string `json:"unsupported,omitempty"` // what the kernel says where it has no such thing

	Overhead   int `json:"overhead"`
	Ftrace     int `json:"ftrace"`     // ftrace_caller, return_to_handler and what they call of ftrace
	Trampoline int `json:"trampoline"` // that the kernel made for the function
	Kernel     int `json:"kernel"`     // functions that these call: around a program
	Program    int `json:"program"`

	Parts []BootedPart `json:"parts"` // the most expensive first
}

// BootedPart is a function's part of an overhead; negative where the function executes less.
type BootedPart struct {
	Func         string `json:"function"`
	Instructions int    `json:"instructions"`
}

// BootedChange is what it takes the host's task to attach or to detach, on a kernel with two CPUs of which one is idle.
type BootedChange struct {
	Way       string `json:"way"`
	Functions int    `json:"functions"`
	Change    string `json:"change"` // attach, detach

	Instructions uint64       `json:"instructions"` // of all CPUs, until it has returned
	Nanoseconds  uint64       `json:"nanoseconds"`  // of the guest's time
	Waits        []BootedWait `json:"waits"`
}

// BootedWait is how often a wait was made: for a grace period, or for other CPUs.
type BootedWait struct {
	Func  string `json:"function"`
	Times int    `json:"times"`
}

// traced is the function that triggers are measured on: one that programs may change the result of, too.
const traced = "security_syslog"

// bootedWaits are the functions of the kernel that wait.
var bootedWaits = []string{
	"synchronize_rcu", "synchronize_rcu_expedited", "synchronize_rcu_tasks", "synchronize_rcu_tasks_rude", "synchronize_rcu_tasks_trace",
	"synchronize_srcu", "synchronize_srcu_expedited", "rcu_barrier", "kick_all_cpus_sync", "stop_machine",
}

// maxFentry is how many functions programs with a trampoline each are attached to.
const maxFentry = 1000

// detachable is what is attached to functions.
type detachable interface {
	Close(ctx context.Context) error
}

// bootedWay is a way to have calls of functions traced.
type bootedWay struct {
	name string
	each bool // for each function there is a program with a trampoline
	one  bool // measured on one function: fexit takes what fentry takes, and few functions let their result be modified
	// prepare does what comes before, and returns what attaches to the first n functions that can be used.
	prepare func(ctx context.Context, m *board.Machine, funcs []tracedFunc, n int) (attach func() (detachable, error), err error)
}

// tracedFunc is a function that can be traced.
type tracedFunc struct {
	name string
	ip   uint64 // its site
}

var bootedWays = []bootedWay{
	{name: "ftrace_ops", prepare: prepareOps},
	{name: "direct call", prepare: prepareDirect},
	{name: "fentry", each: true, prepare: prepareEach(ebpf.AttachTraceFEntry)},
	{name: "fexit", each: true, one: true, prepare: prepareEach(ebpf.AttachTraceFExit)},
	{name: "fmod_ret", each: true, one: true, prepare: prepareEach(ebpf.AttachModifyReturn)},
	{name: "kprobe.multi", prepare: prepareMulti},
}

// RunBooted boots the kernel and measures what its own ways to trace a call cost.
func RunBooted(ctx context.Context, cfg *BootedConfig) (res *BootedResult, err error) {
	sizes := cfg.Functions
	if sizes == nil {
		sizes = []int{1, 1000, 40000}
	}
	m, err := board.Start(ctx, cfg.Image, &board.Options{CPUs: 2})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	funcs, err := traceable(ctx, m)
	if err != nil {
		return nil, err
	}
	z, err := m.Freeze()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	b := &booted{z: z, funcs: funcs}
	res = &BootedResult{Kernel: cfg.Image.Name(), Func: traced}
	for i, way := range bootedWays {
		t, err := b.trigger(ctx, way)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", way.name, err)
		}
		res.Triggers = append(res.Triggers, t)
		for _, n := range sizes {
			if t.Unsupported != "" || n > 1 && way.one || n > maxFentry && way.each {
				continue
			}
			changes, err := b.changes(ctx, way, n)
			if err != nil {
				return nil, fmt.Errorf("bench: %s of %d functions: %w", way.name, n, err)
			}
			res.Changes = append(res.Changes, changes...)
		}
		if cfg.Progress != nil {
			cfg.Progress(i+1, len(bootedWays))
		}
	}
	return res, nil
}

// booted is a kernel that measurements begin from.
type booted struct {
	z     *board.Frozen
	funcs []tracedFunc
}

// traceable reads which functions the kernel can trace; the one that triggers are measured on is the first.
func traceable(ctx context.Context, m *board.Machine) (funcs []tracedFunc, err error) {
	list, err := m.ReadFile(ctx, "/sys/kernel/tracing/available_filter_functions_addrs")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line)
		if len(f) != 2 {
			return nil, fmt.Errorf("available_filter_functions_addrs: %q: %w", line, errno.EINVAL)
		}
		ip, err := strconv.ParseUint(f[0], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("available_filter_functions_addrs: %w", err)
		}
		funcs = append(funcs, tracedFunc{f[1], ip})
	}
	first := slices.IndexFunc(funcs, func(f tracedFunc) bool { return f.name == traced })
	if first < 0 {
		return nil, fmt.Errorf("the kernel can't trace %s: %w", traced, errno.ENOENT)
	}
	funcs[0], funcs[first] = funcs[first], funcs[0]
	return funcs, nil
}

// trigger measures a call that is traced.
func (b *booted) trigger(ctx context.Context, way bootedWay) (t BootedTrigger, err error) {
	t.Way = way.name
	m, err := b.z.Start(nil)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	before, err := cheapest(ctx, m)
	if err != nil {
		return t, err
	}
	attach, err := way.prepare(ctx, m, b.funcs, 1)
	if err == nil {
		_, err = attach()
	}
	if errors.Is(err, errno.EOPNOTSUPP) || errors.Is(err, errno.ENOENT) {
		t.Unsupported = err.Error()
		return t, nil
	}
	if err != nil {
		return t, err
	}
	if err := m.ReadSymbols(ctx); err != nil {
		return t, err
	}
	after, err := cheapest(ctx, m)
	if err != nil {
		return t, err
	}
	for name, n := range before {
		after[name] -= n
	}
	for name, n := range after {
		if n == 0 {
			continue
		}
		t.Overhead += n
		*t.part(name) += n
		t.Parts = append(t.Parts, BootedPart{name, n})
	}
	slices.SortFunc(t.Parts, func(a, b BootedPart) int {
		if a.Instructions != b.Instructions {
			return b.Instructions - a.Instructions
		}
		return strings.Compare(a.Func, b.Func)
	})
	return t, nil
}

// part is where the instructions of a function are counted.
func (t *BootedTrigger) part(name string) *int {
	for _, p := range []struct {
		prefix string
		count  *int
	}{
		{"bpf_trampoline_", &t.Trampoline},
		{"bpf_prog_", &t.Program}, {tracerCode, &t.Program},
		{"ftrace_", &t.Ftrace}, {"arch_ftrace_", &t.Ftrace}, {"return_to_handler", &t.Ftrace}, {"function_graph_", &t.Ftrace},
		{"fprobe_", &t.Ftrace}, {"__ftrace_", &t.Ftrace},
	} {
		if strings.HasPrefix(name, p.prefix) {
			return p.count
		}
	}
	return &t.Kernel
}

// cheapest is what a call of the function executes, by function: of several the one that no interrupt came into.
func cheapest(ctx context.Context, m *board.Machine) (best map[string]int, err error) {
	least := uint64(0)
	for range 3 {
		p, err := m.Profile(func() error {
			_, err := m.Call(ctx, traced, 0)
			return err
		})
		if err != nil {
			return nil, err
		}
		total, counts := byFunc(p)
		if best == nil || total < least {
			best, least = counts, total
		}
	}
	return best, nil
}

func byFunc(p *profile.Profile) (total uint64, counts map[string]int) {
	counts = make(map[string]int)
	for _, f := range p.Functions() {
		total += f.Count
		counts[f.Name] += int(f.Count)
	}
	return total, counts
}

// changes measures attaching to n functions, and detaching.
func (b *booted) changes(ctx context.Context, way bootedWay, n int) (all []BootedChange, err error) {
	m, err := b.z.Start(nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	attach, err := way.prepare(ctx, m, b.funcs, n)
	if err != nil {
		return nil, err
	}
	var a detachable
	for _, step := range []struct {
		change string
		do     func() error
	}{
		{changeAttach, func() (err error) { a, err = attach(); return err }},
		{changeDetach, func() error { return a.Close(ctx) }},
	} {
		c, err := change(m, step.do)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.change, err)
		}
		c.Way, c.Functions, c.Change = way.name, n, step.change
		all = append(all, c)
	}
	return all, nil
}

// change counts what do takes.
func change(m *board.Machine, do func() error) (c BootedChange, err error) {
	names := make(map[uint64]string)
	breakpoints := make(map[uint64]bool)
	for _, name := range bootedWaits {
		addr, err := m.Symbol(name)
		if errors.Is(err, errno.ENOENT) {
			continue
		}
		if err != nil {
			return c, err
		}
		names[addr], breakpoints[addr] = name, true
	}
	times := make(map[string]int)
	err = m.SetTraps(&emu.Traps{Breakpoints: breakpoints}, func(s *board.Stop) error {
		if s.Init { // RCU's own threads wait too
			times[names[s.CPU.Regs().PC]]++
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	count, now := m.Count(), m.Now()
	if err := do(); err != nil {
		return c, err
	}
	c.Instructions, c.Nanoseconds = m.Count()-count, m.Now()-now
	for _, name := range bootedWaits {
		if n := times[name]; n > 0 {
			c.Waits = append(c.Waits, BootedWait{name, n})
		}
	}
	return c, m.SetTraps(nil, nil)
}
