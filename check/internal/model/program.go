package model

import (
	"context"
	"fmt"
	"slices"

	"callops/check/event"
	"callops/check/internal/weak"
	"callops/emu"
	"callops/kernelimage"
	"callops/sched"
)

// need is what the calls of a function owe an ops at some time.
type need uint8

const (
	needNever  need = iota // not registered, and no CPU may still be about to call it
	needAbsent             // is not to be called, once the CPU has synchronised
	needOnce               // registered, and wants the function
	needEither             // an operation that changes it is under way
)

// program is all that the patchers do, in every order that ftrace_lock allows
// their operations to come in: a tree of steps, whose nodes are the times of
// a history. The core itself made them: each branch is a run of it.
type program struct {
	hist  *weak.History
	steps []Step // what happened at each time; of 0 nothing
	kids  [][]weak.Time
	ops   []operation

	needs   [][]need      // by time: of each ops for each function
	changed [][]weak.Time // by time: since when it has been so
	done    []uint64      // by time: which operations have returned
	gone    []uint64      // by time: which objects have been freed

	objects []Object // what is freed
	// preemptible reports whether the kernel can take a task off its CPU against its
	// will.
	preemptible bool

	made      []Object // what is allocated on the way, in any order
	fills     []fill   // and what it holds at first
	callbacks []callback
	tasks     [][]uint64 // the functions that each CPU's task calls
	funcs     []uint64   // each function that they enter once

	// enters has, by function that is called, the numbers of those that a call enters, see Machine.parts.
	enters map[uint64][]int
}

// operation is one of a thread, or one that a tracer starts.
type operation struct {
	name   string
	thread int // -1: a tracer's
	gate   uint64
	run    func(*Machine) error
}

// callback is one handed to call_rcu.
type callback struct {
	kind    sched.Kind // what it waits for
	objects uint64     // what it frees
}

// recordAll runs the core in every order, each on a machine of its own, and notes what it
// does. first is a machine on which nothing has happened yet.
func recordAll(ctx context.Context, b *Base, sc *Scenario, fault *Fault, first *Machine) (*program, error) {
	p := &program{hist: weak.New(), steps: make([]Step, 1), kids: make([][]weak.Time, 1)}
	var threads [][]int
	for i, ops := range sc.Threads {
		var numbers []int
		for _, op := range ops {
			numbers = append(numbers, len(p.ops))
			p.ops = append(p.ops, operation{name: op.Name, thread: i, run: op.do})
		}
		threads = append(threads, numbers)
	}
	for _, o := range sc.Ops {
		if o.Tracer != nil {
			threads = append(threads, []int{len(p.ops)})
			gate := first.gates[len(threads)-1-len(sc.Threads)]
			p.ops = append(p.ops, operation{name: o.Tracer.Name, thread: -1, gate: gate, run: o.Tracer.do})
		}
	}
	if err := p.findFuncs(first); err != nil {
		return nil, err
	}
	p.needs = [][]need{first.want.needs(sc, p.funcs)}
	p.done, p.gone = []uint64{0}, []uint64{0}
	for _, order := range orders(threads) {
		if err := p.addOrder(ctx, b, sc, fault, order); err != nil {
			return nil, err
		}
	}
	return p, p.finish(first)
}

// orders returns all ways to merge threads, each of which keeps its own order.
func orders(threads [][]int) [][]int {
	var all [][]int
	total := 0
	for _, t := range threads {
		total += len(t)
	}
	next := make([]int, len(threads))
	var rec func(order []int)
	rec = func(order []int) {
		if len(order) == total {
			all = append(all, slices.Clone(order))
			return
		}
		for i, t := range threads {
			if next[i] < len(t) {
				next[i]++
				rec(append(order, t[next[i]-1]))
				next[i]--
			}
		}
	}
	rec(nil)
	return all
}

// findFuncs collects what tasks call.
func (p *program) findFuncs(m *Machine) error {
	p.tasks = make([][]uint64, len(m.sc.Tasks))
	p.enters = map[uint64][]int{}
	for kind := range m.sc.Tasks {
		for _, name := range m.sc.Tasks[kind].Calls {
			addr, err := m.k.Func(m.names[name])
			if err != nil {
				return err
			}
			p.tasks[kind] = append(p.tasks[kind], addr)
			if p.enters[addr] != nil {
				continue
			}
			for _, fn := range m.parts(addr) {
				if !slices.Contains(p.funcs, fn) {
					p.funcs = append(p.funcs, fn)
				}
				p.enters[addr] = append(p.enters[addr], slices.Index(p.funcs, fn))
			}
		}
	}
	return nil
}

// addOrder runs the core once.
func (p *program) addOrder(ctx context.Context, b *Base, sc *Scenario, fault *Fault, order []int) error {
	m, err := setUp(ctx, b, sc, fault)
	if err != nil {
		return err
	}
	defer m.close()
	at := weak.Time(0)
	if fault.LiveInit {
		if at, err = p.addSteps(at, fault.apply(m, m.rec.steps), nil); err != nil {
			return err
		}
	}
	touched := map[int]*footprint{}
	for _, n := range order {
		before := m.want.needs(sc, p.funcs)
		if err := m.operate(p.ops[n].run); err != nil {
			return fmt.Errorf("%s: %w", p.ops[n].name, err)
		}
		if m.guest != nil {
			touched[n] = m.guest.use.taken()
			if err := p.apart(m, n, touched); err != nil {
				return err
			}
		}
		after := m.want.needs(sc, p.funcs)
		during := slices.Clone(before)
		for i := range during {
			if before[i] != after[i] {
				during[i] = needEither
			}
		}
		steps := slices.Concat([]Step{{Kind: event.OperationBegins, Op: n}}, m.rec.steps)
		if sc.Fix != nil {
			steps = sc.Fix(steps)
		}
		if at, err = p.addSteps(at, p.numbered(fault.apply(m, steps), m.rec.calls), during); err != nil {
			return err
		}
		if at, err = p.addSteps(at, []Step{{Kind: event.OperationReturns, Op: n}}, after); err != nil {
			return err
		}
	}
	for _, o := range m.rec.made {
		if !slices.Contains(p.made, o) {
			p.made = append(p.made, o)
		}
	}
	p.preemptible = preemptible(m.k.Image)
	return p.addFills(m.rec.fills)
}

// addFills adds what objects held at first, which has to be the same in every order.
func (p *program) addFills(fills []fill) error {
	for _, f := range fills {
		for _, have := range p.fills {
			if f.addr < have.addr+uint64(len(have.bytes)) && have.addr < f.addr+uint64(len(f.bytes)) && !slices.Equal(f.bytes, have.bytes) {
				return fmt.Errorf("%#x is allocated in several orders, and does not hold the same at first", f.addr)
			}
		}
		p.fills = append(p.fills, f)
	}
	return nil
}

// fill makes memory that is allocated on the way what it is at first.
func (p *program) fill(m *Machine) error {
	for _, f := range p.fills {
		if err := m.k.Mem.Write(f.addr, f.bytes); err != nil {
			return err
		}
	}
	return nil
}

// apart reports what operation n raced for with an earlier one of another patcher.
func (p *program) apart(m *Machine, n int, touched map[int]*footprint) error {
	for other := range p.ops {
		if touched[other] == nil || other == n || p.ops[other].thread == p.ops[n].thread && p.ops[n].thread >= 0 {
			continue
		}
		if err := raced(m.k, touched[other], touched[n], [2]string{p.ops[other].name, p.ops[n].name}); err != nil {
			return err
		}
	}
	return nil
}

// numbered gives the callbacks that steps hand over the numbers that they have
// in all orders: what is the third to one order is another's first.
func (p *program) numbered(steps []Step, calls [][]Object) []Step {
	for i := range steps {
		s := &steps[i]
		if s.Kind != event.CallRCU {
			continue
		}
		c := callback{kind: s.Wait}
		for _, o := range calls[s.Call] {
			c.objects |= 1 << p.object(o)
		}
		if s.Call = slices.Index(p.callbacks, c); s.Call < 0 {
			s.Call = len(p.callbacks)
			p.callbacks = append(p.callbacks, c)
		}
	}
	return steps
}

// object numbers an object.
func (p *program) object(o Object) int {
	if i := slices.Index(p.objects, o); i >= 0 {
		return i
	}
	p.objects = append(p.objects, o)
	return len(p.objects) - 1
}

// addSteps appends steps, or finds them where an order before this one went
// the same way.
func (p *program) addSteps(at weak.Time, steps []Step, needs []need) (weak.Time, error) {
	for i := range steps {
		next, err := p.addStep(at, &steps[i], needs)
		if err != nil {
			return 0, err
		}
		at = next
	}
	return at, nil
}

func (p *program) addStep(at weak.Time, s *Step, needs []need) (weak.Time, error) {
	for _, kid := range p.kids[at] {
		if p.steps[kid] == *s {
			return kid, nil
		}
	}
	t, err := p.hist.Append(at, s.toMemory())
	if err != nil {
		return 0, err
	}
	p.kids[at] = append(p.kids[at], t)
	p.kids = append(p.kids, nil)
	p.steps = append(p.steps, *s)
	if needs == nil {
		needs = p.needs[at]
	}
	p.needs = append(p.needs, needs)
	done, gone := p.done[at], p.gone[at]|p.freedAt(t)
	if s.Kind == event.OperationReturns {
		done |= 1 << s.Op
	}
	p.done, p.gone = append(p.done, done), append(p.gone, gone)
	return t, nil
}

// freedAt is the object that a step frees, as a set.
func (p *program) freedAt(t weak.Time) uint64 {
	s := &p.steps[t]
	if s.Kind != event.Free {
		return 0
	}
	return 1 << p.object(Object{s.Name, kernelimage.Range{Start: s.Addr, End: s.Addr + s.Size}})
}

const (
	maxObjects = 64
	maxOps     = 40 // a mark each, see inGate
	maxCalls   = 15 // one bit less than a CPU has for what waits for it
)

// finish computes what follows from the steps.
func (p *program) finish(m *Machine) error {
	if len(p.objects) > maxObjects || len(p.ops) > maxOps || len(p.callbacks) > maxCalls {
		return fmt.Errorf("%d objects freed, %d operations, %d callbacks: too many", len(p.objects), len(p.ops), len(p.callbacks))
	}
	p.changed = make([][]weak.Time, len(p.steps))
	for t := range p.steps {
		up := p.hist.Parent(weak.Time(t))
		p.changed[t] = make([]weak.Time, len(p.needs[0]))
		for i := range p.changed[t] {
			if t > 0 {
				p.changed[t][i] = p.changed[up][i]
				if p.needs[t][i] != p.needs[up][i] {
					p.changed[t][i] = weak.Time(t)
				}
			}
		}
	}
	if err := p.fill(m); err != nil {
		return err
	}
	first := map[uint64]byte{}
	if m.fault.LiveInit {
		first = p.firstBytes() // m has been through what the program begins with
	}
	return p.hist.Freeze(func(addr, size uint64) (uint64, error) {
		var b [8]byte
		if err := m.k.Mem.Read(addr, b[:size]); err != nil {
			return 0, err
		}
		v := uint64(0)
		for i := range size {
			c := b[i]
			if old, ok := first[addr+i]; ok {
				c = old
			}
			v |= uint64(c) << (8 * i)
		}
		return v, nil
	}, m.isText)
}

// owedSince is the latest time up to t at which something began to be owed that
// is still owed at now.
func (p *program) owedSince(now, t weak.Time) (since weak.Time) {
	for _, c := range p.changed[now] {
		if c <= t {
			since = max(since, c)
		}
	}
	return since
}

// firstBytes is what memory held before the first store to it.
func (p *program) firstBytes() map[uint64]byte {
	first := map[uint64]byte{}
	for _, s := range p.steps {
		if s.Kind != event.Store && s.Kind != event.StoreText {
			continue
		}
		for i := range s.Size {
			if _, ok := first[s.Addr+i]; !ok {
				first[s.Addr+i] = byte(s.Old >> (8 * i))
			}
		}
	}
	return first
}

// asked reports whether an operation begins when a CPU asks for it.
func (p *program) asked() bool {
	return slices.ContainsFunc(p.ops, func(op operation) bool { return op.thread < 0 })
}

// asks reports whether a step is the beginning of such an operation.
func (p *program) asks(t weak.Time) bool {
	s := &p.steps[t]
	return s.Kind == event.OperationBegins && p.ops[s.Op].thread < 0
}

// gateOf returns the operation that a gate starts.
func (p *program) gateOf(gate uint64) (op int, ok bool) {
	for i := range p.ops {
		if p.ops[i].thread < 0 && p.ops[i].gate == gate && emu.InGates(gate) {
			return i, true
		}
	}
	return 0, false
}
