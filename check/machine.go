package check

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

// base is what scenarios are set up on.
type base struct {
	image *kernelimage.Image // nil: the built-in kernel
	own   bool               // with the image's own trampolines and list function
}

// String names it; "" is the built-in kernel.
func (b *base) String() string {
	switch {
	case b.image == nil:
		return ""
	case b.own:
		return b.image.Name + " with its own trampolines"
	}
	return b.image.Name + " with callops' trampolines"
}

// ErrUnfit is a scenario, or a mutation, that is for another kind of kernel.
var ErrUnfit = errors.New("not for this kernel")

// fits says whether a scenario can be set up.
func (b *base) fits(sc *Scenario, mut *Mutation) error {
	switch {
	case sc.NoCallOps && (mut.trampoline != trampolines.NoFault || mut.core != ftrace.NoFault):
		return fmt.Errorf("mutation %s is for scenarios with CALL_OPS: %w", mut.Name, ErrUnfit)
	case b.image == nil && b.own:
		return fmt.Errorf("the built-in kernel has no trampolines of its own: %w", ErrUnfit)
	case b.image == nil:
		return nil
	case !sc.NoCallOps && !b.image.CallOps:
		return fmt.Errorf("%s has no room for literals: %w", b.image.Name, ErrUnfit)
	case sc.NoCallOps && b.image.CallOps && b.own:
		return fmt.Errorf("%s has an ftrace_caller for CALL_OPS: %w", b.image.Name, ErrUnfit)
	case sc.BTI && !b.image.BTI:
		return fmt.Errorf("%s is built without BTI: %w", b.image.Name, ErrUnfit)
	case mut.liveInit:
		return fmt.Errorf("mutation %s is for a kernel with few call sites: %w", mut.Name, ErrUnfit)
	case mut.preempts && !preemptible(b.image):
		return fmt.Errorf("mutation %s shows where tasks can be preempted, and %s is built without CONFIG_PREEMPTION: %w", mut.Name, b.image.Name, ErrUnfit)
	case mut.image != nil, mut.trampoline != trampolines.NoFault && b.own:
		return fmt.Errorf("mutation %s is built into callops' own code: %w", mut.Name, ErrUnfit)
	}
	return nil
}

// machine is a scenario set up: a kernel, ftrace on it, its ops.
type machine struct {
	sc  *Scenario
	mut *Mutation
	k   *kernel.Kernel
	r   *ftrace.Registry
	rec *recorder

	ops    []*ftrace.Ops          // as Scenario.Ops
	tracer [][2]kernelimage.Range // its tracer's code, or its direct calls'
	gates  []uint64               // by operation that a tracer asks for: the gate
	names  map[string]string      // what functions of scenarios are called here
}

// setUp builds the machine. Everything has the same address each time.
func setUp(b *base, sc *Scenario, mut *Mutation) (*machine, error) {
	m := &machine{sc: sc, mut: mut, ops: make([]*ftrace.Ops, len(sc.Ops)), tracer: make([][2]kernelimage.Range, len(sc.Ops))}
	if err := m.boot(b); err != nil {
		if m.k != nil {
			err = errors.Join(err, m.k.Close())
		}
		return nil, fmt.Errorf("scenario %s: %w", sc.Name, err)
	}
	return m, nil
}

func (m *machine) boot(b *base) error {
	if err := b.fits(m.sc, m.mut); err != nil {
		return err
	}
	img, err := m.image(b)
	if err != nil {
		return err
	}
	if m.k, err = kernel.Boot(img, interp.New, &kernel.BootOptions{CPUs: len(m.sc.Tasks)}); err != nil {
		return err
	}
	m.rec = newRecorder(m.k, m.isText, m.isLiteral)
	install := trampolines.Install
	if b.own {
		install = trampolines.FromImage
	}
	code, err := install(m.k, &trampolines.Options{CallOps: !m.sc.NoCallOps, Fault: m.mut.trampoline})
	if err != nil {
		return err
	}
	m.rec.on = m.mut.liveInit
	m.r, err = ftrace.New(m.k, &ftrace.Options{
		NoCallOps: m.sc.NoCallOps, FixCallOps: m.sc.FixCallOps, Code: code, Fault: m.mut.core,
		Text: m.rec, Grace: m.rec,
	})
	m.rec.on = false
	if err != nil {
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
func (m *machine) image(b *base) (*kernelimage.Image, error) {
	m.names = map[string]string{relevant: relevant, irrelevant: irrelevant}
	if b.image != nil {
		empty := b.image.EmptyFuncs(2)
		if len(empty) < 2 {
			return nil, fmt.Errorf("%s has no two functions that do nothing: %w", b.image.Name, ErrUnfit)
		}
		m.names = map[string]string{relevant: empty[0].Name, irrelevant: empty[1].Name}
		return b.image, nil
	}
	img, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{NoCallOps: m.sc.NoCallOps, BTI: m.sc.BTI})
	if err == nil && m.mut.image != nil {
		err = m.mut.image(img)
	}
	return img, err
}

// preemptible says whether the kernel was built with CONFIG_PREEMPTION; only then
// does it count what disables preemption. Without it, tasks leave their CPUs of
// their own will, and synchronize_rcu_tasks is synchronize_rcu, which such a
// task holds up until it does.
func preemptible(img *kernelimage.Image) bool {
	return img.Linux == nil || slices.ContainsFunc(img.Symbols, func(s kernelimage.Symbol) bool { return s.Name == "preempt_schedule" })
}

// setFilter replaces or extends the filter of ops number i.
func (m *machine) setFilter(i int, functions []string, reset bool) error {
	var ips []uint64
	for _, f := range functions {
		addr, err := m.k.Func(m.names[f])
		if err != nil {
			return err
		}
		ips = append(ips, addr)
	}
	return m.r.SetFilterIPs(m.ops[i], ips, &ftrace.FilterOptions{Reset: reset})
}

// isText says that what is stored at addr are instructions: literals lie among
// them and are not.
func (m *machine) isText(addr uint64) bool {
	r := m.k.Mem.Region(addr)
	return r != nil && r.Perm&emu.Exec != 0 && !m.isLiteral(addr)
}

// isLiteral says that a site's literal holds addr, one that is not rounded down
// included.
func (m *machine) isLiteral(addr uint64) bool {
	if m.sc.NoCallOps {
		return false
	}
	sites := m.k.Image.Sites
	i := sort.Search(len(sites), func(i int) bool { return sites[i].IP-12+8 > addr })
	return i < len(sites) && addr+4 > (sites[i].IP-12)&^7
}

// addOps makes ops number i and its tracer, and registers it where the scenario
// begins with it registered.
func (m *machine) addOps(i int) (err error) {
	spec := &m.sc.Ops[i]
	switch {
	case spec.Direct:
		if err := m.addDirect(i); err != nil {
			return err
		}
		m.ops[i], err = m.r.NewDirectOps(spec.Name)
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

func (m *machine) register(i int) error {
	if m.sc.Ops[i].Direct {
		return m.r.RegisterDirect(m.ops[i], m.tracer[i][0].Start)
	}
	return m.r.Register(m.ops[i])
}

func (m *machine) unregister(i int) error {
	if m.sc.Ops[i].Direct {
		return m.r.UnregisterDirect(m.ops[i], m.tracer[i][0].Start)
	}
	return m.r.Unregister(m.ops[i])
}

// addTracer places the tracer of ops number i: it reads the ops, loses what a
// function may lose, and returns. One that has an operation to start calls a
// gate before that.
func (m *machine) addTracer(i int) error {
	spec := &m.sc.Ops[i]
	gate := uint64(0)
	if spec.Tracer != nil {
		var err error
		gate, err = m.k.Gates.Add(spec.Tracer.Name, func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil })
		if err != nil {
			return err
		}
		m.gates = append(m.gates, gate)
	}
	at, err := m.place("tracer_"+spec.Name, func(b *asm.Builder) {
		b.Emit(asm.Ldr(asm.X9, asm.Off(asm.X2, int64(m.k.Layout.Ops.Private))))
		if gate != 0 {
			b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -16)), asm.Mov(asm.FP, asm.SP))
			b.Emit(asm.MovImm(asm.X16, gate)...)
			b.Emit(asm.Blr(asm.X16), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)))
		}
		lose(b, asm.X0, asm.X17)
		b.Emit(asm.Ret())
	})
	m.tracer[i][0] = at
	return err
}

// addDirect places the two direct calls of ops number i, which do what
// ftrace_stub_direct_tramp does.
func (m *machine) addDirect(i int) (err error) {
	for n, name := range []string{"direct_" + m.sc.Ops[i].Name, "direct_" + m.sc.Ops[i].Name + "_new"} {
		m.tracer[i][n], err = m.place(name, func(b *asm.Builder) {
			b.Emit(asm.Bti(asm.BTIC), asm.Mov(asm.X10, asm.LR), asm.Mov(asm.LR, asm.X9))
			lose(b, asm.X11, asm.X17)
			b.Emit(asm.RetReg(asm.X10))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lose overwrites registers.
func lose(b *asm.Builder, from, to asm.Reg) {
	for r := from; r <= to; r++ {
		b.Emit(asm.Movz(r, 0xbad, 0))
	}
}

// place puts a function into memory of its own.
func (m *machine) place(name string, body func(*asm.Builder)) (kernelimage.Range, error) {
	b := asm.NewBuilder()
	b.Func(name)
	body(b)
	b.EndFunc()
	p, err := m.k.PlaceCode(name, kernel.CodeOptions{Core: true}, b.Assemble)
	if err != nil {
		return kernelimage.Range{}, err
	}
	return kernelimage.Range{Start: p.Base, End: p.Base + uint64(len(p.Code))}, nil
}

// initTasks makes the tasks what the scenario says.
func (m *machine) initTasks() error {
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
func (m *machine) fn(kind, call int) uint64 {
	addr, _ := m.k.Func(m.names[m.sc.Tasks[kind].Calls[call]])
	return addr
}
