package model

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/machine"
	"callops/trampolines"
)

// Base is what scenarios are set up on.
type Base struct {
	Image *kernelimage.Image // nil: the built-in kernel
	Own   bool               // with the image's own trampolines and list function
	Core  bool               // with its own core too: its machine code is the patcher
}

// ErrUnfit is a scenario, or a fault, that is for another kind of kernel.
var ErrUnfit = errors.New("not for this kernel")

// fits returns why a scenario can't be set up.
func (b *Base) fits(sc *Scenario, fault *Fault) error {
	switch {
	case sc.NoCallOps && (fault.Trampoline != trampolines.NoFault || fault.Core != ftrace.NoFault):
		return fmt.Errorf("the fault is for scenarios with CALL_OPS: %w", ErrUnfit)
	case sc.Direct != trampolines.DirectOps && (b.Own || b.Core):
		return fmt.Errorf("an image has an ops for each direct call: %w", ErrUnfit)
	case sc.Fixmap && b.Core:
		return fmt.Errorf("what maps the page to be patched is left out, and its barrier with it: %w", ErrUnfit)
	case b.Core && sc.Sets:
		return fmt.Errorf("the core of Linux has no sets: %w", ErrUnfit)
	case b.Image == nil && (b.Own || b.Core):
		return fmt.Errorf("the built-in kernel has no trampolines of its own, nor a core: %w", ErrUnfit)
	case !b.Core && fault.OnlyCode():
		return fmt.Errorf("the fault is one of an image's own core: %w", ErrUnfit)
	case b.Image == nil:
		return nil
	case sc.hasTail():
		return fmt.Errorf("%s is the built-in kernel's: %w", TailCaller, ErrUnfit)
	case !sc.NoCallOps && !b.Image.CallOps():
		return fmt.Errorf("%s has no room for literals: %w", b.Image.Name(), ErrUnfit)
	case sc.NoCallOps && b.Image.CallOps() && b.Own:
		return fmt.Errorf("%s has an ftrace_caller for CALL_OPS: %w", b.Image.Name(), ErrUnfit)
	case sc.BTI && !b.Image.BTI():
		return fmt.Errorf("%s is built without BTI: %w", b.Image.Name(), ErrUnfit)
	case b.Core && !b.Image.IsLinux():
		return fmt.Errorf("%s is no Linux kernel, and has no core of its own: %w", b.Image.Name(), ErrUnfit)
	case b.Core && sc.hasGraph():
		return fmt.Errorf("fgraph is that of callops' core: %w", ErrUnfit)
	case b.Core && sc.FixCallOps:
		return fmt.Errorf("%s does not have the fix: %w", b.Image.Name(), ErrUnfit)
	case b.Core && fault.Code == nil && (fault.Steps != nil || fault.Core != ftrace.NoFault):
		return fmt.Errorf("the fault is built into callops' own core: %w", ErrUnfit)
	case fault.LiveInit:
		return fmt.Errorf("the fault is for a kernel with few call sites: %w", ErrUnfit)
	case fault.Preempts && !preemptible(b.Image):
		return fmt.Errorf("the fault shows where tasks can be preempted, and %s is built without CONFIG_PREEMPTION: %w", b.Image.Name(), ErrUnfit)
	case fault.Image != nil, fault.Trampoline != trampolines.NoFault && b.Own:
		return fmt.Errorf("the fault is built into callops' own code: %w", ErrUnfit)
	}
	return nil
}

// Machine is a scenario set up: a kernel, ftrace on it, its ops.
type Machine struct {
	sc    *Scenario
	fault *Fault
	host  *machine.Machine
	k     *kernel.Kernel
	r     ftrace.Core
	rec   *recorder
	guest *patcher // nil: the core is callops'

	ops    []*ftrace.Ops      // as Scenario.Ops
	graphs []*ftrace.GraphOps // of those that are users of fgraph
	want   wanted
	tracer [][2]kernelimage.Range // its tracer's code, or its direct calls'
	late   []byte                 // the code of a direct call that is not there at first
	sites  map[uint64]uint64      // by function of the scenario: its call site
	gates  []uint64               // by operation that a tracer asks for: the gate
	made   []Object               // what the operations allocate; nil while they are recorded
	names  map[string]string      // what functions of scenarios are called here
}

// setUp builds the machine. Everything has the same address each time.
func setUp(ctx context.Context, b *Base, sc *Scenario, fault *Fault) (*Machine, error) {
	m := &Machine{sc: sc, fault: fault, ops: make([]*ftrace.Ops, len(sc.Ops)), graphs: make([]*ftrace.GraphOps, len(sc.Ops)), tracer: make([][2]kernelimage.Range, len(sc.Ops))}
	m.want = newWanted(len(sc.Ops))
	if err := b.fits(sc, fault); err != nil {
		return nil, err
	}
	img, err := m.image(b)
	if err != nil {
		return nil, err
	}
	if err := m.findSites(img); err != nil {
		return nil, err
	}
	cfg := &machine.Config{Image: img, CPUs: len(sc.Tasks), Unscheduled: true}
	if b.Core {
		m.runCore(cfg)
	} else {
		cfg.Ftrace = func(k *kernel.Kernel) (*ftrace.Options, error) { return m.ftrace(k, b.Own) }
	}
	if m.host, err = machine.New(ctx, cfg); err != nil {
		return nil, err
	}
	m.r, m.rec.on = m.host.Ftrace, false
	if err := m.begin(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *Machine) close() error { return m.host.Close() }

// findSites finds the call sites of the scenario's functions.
func (m *Machine) findSites(img *kernelimage.Image) error {
	m.sites = map[uint64]uint64{}
	for _, name := range m.names {
		symbols := img.SymbolTable().Called(name)
		if len(symbols) == 0 {
			return fmt.Errorf("%s has no %s: %w", img.Name(), name, errno.ENOENT)
		}
		fn := symbols[0].Addr
		site, ok := img.Site(fn)
		if !ok {
			return fmt.Errorf("%s of %s has no call site: %w", name, img.Name(), errno.ENOENT)
		}
		m.sites[fn] = site.IP
	}
	return nil
}

// operate records an operation.
func (m *Machine) operate(run func(*Machine) error) (err error) {
	m.rec.steps, m.rec.on = nil, true
	if m.guest != nil {
		m.guest.begin()
		defer func() { err = errors.Join(err, m.guest.end()) }()
	}
	defer func() { m.rec.on = false }()
	return run(m)
}

// ftrace returns the options of ftrace on a kernel whose memory is recorded.
func (m *Machine) ftrace(k *kernel.Kernel, own bool) (*ftrace.Options, error) {
	m.k = k
	m.rec = newRecorder(k, m.isText, m.isLiteral)
	install := trampolines.Install
	if own {
		install = trampolines.FromImage
	}
	code, err := install(k, &trampolines.Options{CallOps: !m.sc.NoCallOps, Direct: m.sc.Direct, Fault: m.fault.Trampoline})
	if err != nil {
		return nil, err
	}
	m.rec.on = m.fault.LiveInit
	return &ftrace.Options{
		Scheme: m.sc.scheme(), FixCallOps: m.sc.FixCallOps, Code: code, Fault: m.fault.Core, Direct: m.sc.Direct,
		Memory: m.rec, Grace: m.rec, SetLimit: m.sc.SetLimit, FailAlloc: m.failSet(),
	}, nil
}

// begin makes ops and tasks what they are when the scenario begins.
func (m *Machine) begin() error {
	if err := m.giveStacks(); err != nil {
		return err
	}
	for i := range m.sc.Ops {
		if err := m.addOps(i); err != nil {
			return err
		}
	}
	return m.initTasks()
}

// image is what is booted. Of a kernel that is not the built-in one, the first
// functions that do nothing stand for those of the scenarios.
func (m *Machine) image(b *Base) (*kernelimage.Image, error) {
	m.names = map[string]string{Relevant: Relevant, Irrelevant: Irrelevant, TailCaller: TailCaller, TailCallee: TailCallee}
	if b.Image != nil {
		empty := b.Image.EmptyFuncs(2)
		if len(empty) < 2 {
			return nil, fmt.Errorf("%s has no two functions that do nothing: %w", b.Image.Name(), ErrUnfit)
		}
		m.names = map[string]string{Relevant: empty[0].Name, Irrelevant: empty[1].Name}
		return b.Image, nil
	}
	img, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{NoCallOps: m.sc.NoCallOps, BTI: m.sc.BTI})
	if err == nil && m.fault.Image != nil {
		parts := img.Parts()
		err = m.fault.Image(parts)
		img = kernelimage.New(parts)
	}
	return img, err
}

// preemptible reports whether the kernel was built with CONFIG_PREEMPTION; only then
// does it count what disables preemption. Without it, tasks leave their CPUs of
// their own will, and synchronize_rcu_tasks is synchronize_rcu, which such a
// task holds up until it does.
func preemptible(img *kernelimage.Image) bool {
	return img.Linux() == nil || len(img.SymbolTable().Called("preempt_schedule")) > 0
}

// setFilter replaces or extends the filter of ops number i.
func (m *Machine) setFilter(i int, functions []string, reset bool) error {
	var ips []uint64
	for _, f := range functions {
		addr, err := m.k.Func(m.names[f])
		if err != nil {
			return err
		}
		ips = append(ips, addr)
	}
	if err := m.r.SetFilterIPs(m.ops[i], ips, &ftrace.FilterOptions{Reset: reset}); err != nil {
		return err
	}
	m.want.filter(i, ips, reset)
	return nil
}

// isText reports whether what is stored at addr are instructions: literals lie among
// them and are not.
func (m *Machine) isText(addr uint64) bool {
	r := m.k.Mem.Region(addr)
	return r != nil && r.Perm&emu.Exec != 0 && !m.isLiteral(addr)
}

// isLiteral reports whether a site's literal holds addr, one that is not rounded down
// included.
func (m *Machine) isLiteral(addr uint64) bool {
	if m.sc.NoCallOps {
		return false
	}
	sites := m.k.Sites()
	i := sort.Search(len(sites), func(i int) bool { return sites[i].IP-12+8 > addr })
	return i < len(sites) && addr+4 > (sites[i].IP-12)&^7
}

// addOps makes ops number i and its tracer, and registers it where the scenario
// begins with it registered.
func (m *Machine) addOps(i int) (err error) {
	spec := &m.sc.Ops[i]
	switch {
	case spec.Graph:
		err = m.addGraph(i)
	case spec.Direct:
		if err := m.addDirect(i); err != nil {
			return err
		}
		if spec.Static {
			return m.addOneOps(i)
		}
		if m.ops[i], err = m.r.NewDirectOps(spec.Name); err == nil && spec.Shares {
			m.ops[i].Share = shares
		}
	default:
		if err := m.addTracer(i); err != nil {
			return err
		}
		fn := m.tracer[i][0].Start
		if spec.Static {
			m.ops[i], err = m.r.NewOps(spec.Name, fn, &ftrace.OpsOptions{Static: true, Flags: spec.Flags})
		} else {
			m.ops[i], err = m.r.NewOps(spec.Name, fn, &ftrace.OpsOptions{Flags: spec.Flags, Extra: 8})
		}
	}
	if err != nil {
		return err
	}
	if err := m.setFilter(i, spec.Filter, false); err != nil {
		return err
	}
	if spec.Registered {
		return m.register(i)
	}
	return nil
}

func (m *Machine) register(i int) (err error) {
	switch {
	case m.sc.Ops[i].Graph:
		err = m.registerGraph(i)
	case m.sc.Ops[i].Direct:
		err = m.r.RegisterDirect(m.ops[i], m.tracer[i][0].Start)
	default:
		err = m.r.Register(m.ops[i])
	}
	if err == nil {
		m.want.ops[i].registered = true
	}
	return err
}

func (m *Machine) unregister(i int) (err error) {
	switch {
	case m.sc.Ops[i].Graph:
		err = m.unregisterGraph(i)
	case m.sc.Ops[i].Direct:
		err = m.r.UnregisterDirect(m.ops[i], m.tracer[i][0].Start)
	default:
		err = m.r.Unregister(m.ops[i])
	}
	if err == nil {
		m.want.ops[i].registered = false
	}
	return err
}

func (m *Machine) setEnabled(v int) error {
	err := m.r.SetEnabled(v)
	if m.guest != nil && errors.Is(err, errno.EOPNOTSUPP) { // Linux 7.x switches ftrace off no more
		return fmt.Errorf("%w: %w", err, ErrUnfit)
	}
	if err != nil {
		return err
	}
	m.want.off = v == 0
	return nil
}

// initTasks makes the tasks what they are in the scenario.
func (m *Machine) initTasks() error {
	l := m.k.Layout
	for kind := range m.sc.Tasks {
		t, c := &m.sc.Tasks[kind], m.k.CPUs[kind]
		if t.Idle {
			// The idle loop runs with preemption disabled.
			if err := m.k.Mem.Store64(c.Task+uint64(l.Task.PreemptCount), 1<<32|1); err != nil {
				return err
			}
		}
		if t.NotWatching {
			if err := m.k.Mem.Store32(c.PerCPU+uint64(l.PerCPU.ContextState), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// fn is a function that a kind of task calls.
func (m *Machine) fn(kind, call int) uint64 {
	addr, _ := m.k.Func(m.names[m.sc.Tasks[kind].Calls[call]])
	return addr
}
