package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"callops/check/event"
	"callops/emu"
	"callops/emu/interp"
	"callops/emu/record"
	"callops/ftrace/guestcore"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
	"callops/machine"
	"callops/sched"
)

// patcher is the CPU on which an image's own core runs. While it records, each of its
// instructions is observed; what others can see of them, and of what services do for
// them, is what the recorder notes.
//
// Its stack, its task_struct and its per-CPU area are private: no other CPU accesses
// them. Neither does the patcher access those of the CPUs of a scenario, which is
// an error. So what it loads does not depend on them, and a run of it in each order
// is all that it can do; see footprint for what several patchers share.
type patcher struct {
	m    *Machine
	rec  *recorder
	cpu  *kernel.CPU
	own  []kernelimage.Range
	tape *record.Tape
	use  footprint

	half     uint64   // the word of a literal that was stored to last
	halves   int      // how many literals were stored to by words
	queued   []queued // callbacks, by the number that a step has
	callback *running // nil: none runs
	fresh    []Object // allocated since the last instruction
	ipi      ipi
	err      error // the first thing that can't be recorded
}

// ipi is an interrupt that a service sends: to how many CPUs, and by whom.
type ipi struct {
	at   uint64 // how many instructions had been executed
	pc   uint64
	cpus int
}

// queued identifies a callback that was handed over.
type queued struct{ fn, arg uint64 }

// running is a callback that runs.
type running struct {
	number int
	depth  int // of calls around it
	freed  []Object
	stores []record.Effect
}

// newPatcher makes the last CPU of m's kernel the patcher.
func newPatcher(m *Machine) (*patcher, error) {
	p := &patcher{m: m, rec: m.rec, cpu: m.k.CPUs[len(m.k.CPUs)-1]}
	p.own = append(m.k.Own(p.cpu), p.cpu.Stack)
	p.tape = record.NewTape(m.k.Mem, p.effect)
	p.tape.Private = func(addr uint64) bool { return within(p.own, addr) }
	p.tape.Text = m.isText
	p.use = newFootprint(m.k)
	m.k.Heap.Observe(p.object)
	if _, ok := p.cpu.CPU.(*record.CPU); !ok {
		return nil, fmt.Errorf("the engine of CPU %d can't be observed", p.cpu.ID())
	}
	return p, nil
}

func within(areas []kernelimage.Range, addr uint64) bool {
	for _, r := range areas {
		if r.Contains(addr) {
			return true
		}
	}
	return false
}

// runCore has a machine run the image's own core, on a CPU of its own. Of the kernel's call
// sites the core is told only of those that tasks come to.
func (m *Machine) runCore(cfg *machine.Config) {
	cfg.CPUs++
	cfg.Engine = record.Of(interp.New)
	cfg.Guest = &guestcore.Options{
		Sites: slices.Collect(maps.Values(m.sites)),
		Before: func(k *kernel.Kernel) (err error) {
			m.k, m.rec = k, newRecorder(k, m.isText, m.isLiteral)
			if m.guest, err = newPatcher(m); err != nil || m.fault.Code == nil {
				return err
			}
			err = m.fault.Code(&Code{k})
			if errors.Is(err, errno.ENOENT) { // the compiler made something else of it
				err = fmt.Errorf("%w: %w", err, ErrUnfit)
			}
			return err
		},
		Call: func(ctx context.Context, opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error) {
			return m.k.Call(ctx, m.guest.cpu.ID(), opts, addr, args...)
		},
	}
	cfg.Services = &services.Options{
		Text: func(cpu emu.CPU, w services.TextWrite, store func() error) error {
			return m.guest.writeText(cpu, w, store)
		},
		Event: func(e services.Event) { m.guest.service(e) },
	}
}

// begin begins to record.
func (p *patcher) begin() {
	p.err = nil
	p.use.reset()
	p.cpu.CPU.(*record.CPU).Observe(p.insn)
}

// end ends it.
func (p *patcher) end() error {
	p.cpu.CPU.(*record.CPU).Observe(nil)
	p.settle()
	p.interrupted()
	for i, c := range p.rec.calls {
		if c == nil && i < len(p.queued) {
			p.fail("callback %s was not run", p.m.name(p.queued[i].fn))
		}
	}
	p.rec.steps = slices.DeleteFunc(p.rec.steps, func(s Step) bool { return s.Kind == event.CallRCU && len(p.rec.calls[s.Call]) == 0 })
	return p.err
}

// fail notes that something can't be recorded.
func (p *patcher) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// insn is told of each instruction.
func (p *patcher) insn(in *record.Insn) error {
	p.settle()
	p.use.insn(in)
	if err := p.filled(in); err != nil {
		return err
	}
	for i := range in.Accesses {
		a := &in.Accesses[i]
		if within(p.own, a.Addr) {
			continue
		}
		if c := p.ownerOf(a.Addr); c != nil {
			return fmt.Errorf("%s accesses %#x, which is CPU %d's own: what is there does not depend on the patcher alone",
				p.m.name(in.PC), a.Addr, c.ID())
		}
		p.use.access(in, a)
	}
	return errors.Join(p.tape.Insn(in), p.err)
}

// filled notes what objects held when they were allocated, before the first instruction
// after that.
func (p *patcher) filled(in *record.Insn) error {
	for _, o := range p.fresh {
		b := make([]byte, o.End-o.Start)
		if err := p.m.k.Mem.Read(o.Start, b); err != nil {
			return err
		}
		for _, a := range in.Accesses {
			for i := range a.Size {
				if a.Store && o.Contains(a.Addr+i) {
					b[a.Addr+i-o.Start] = byte(a.Old >> (8 * i))
				}
			}
		}
		if slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			p.rec.fills = append(p.rec.fills, fill{o.Start, b})
		}
	}
	p.fresh = p.fresh[:0]
	return nil
}

// ownerOf is the CPU of a scenario whose task or area an address is in, or nil.
func (p *patcher) ownerOf(addr uint64) *kernel.CPU {
	for _, c := range p.m.k.CPUs {
		if c != p.cpu && (c.Stack.Contains(addr) || within(p.m.k.Own(c), addr)) {
			return c
		}
	}
	return nil
}

// effect is told of what other CPUs can see.
func (p *patcher) effect(e record.Effect) {
	if !p.rec.on {
		return
	}
	if c := p.callback; c != nil {
		c.stores = append(c.stores, e)
		return
	}
	p.rec.note(p.step(e))
}

// step is an effect as a step.
func (p *patcher) step(e record.Effect) Step {
	s := Step{PC: e.PC, Insns: e.Insns, Addr: e.Addr, Size: e.Size, Value: e.Value, Old: e.Old, Whole: e.Whole}
	switch e.Kind {
	case record.Order:
		s.Kind = event.WriteBarrier
	case record.Complete:
		s.Kind = event.DataBarrier
	case record.Clean:
		s.Kind = event.CleanText
	case record.Store, record.Release:
		s.Kind, s.Release, s.Literal = event.Store, e.Kind == record.Release, p.rec.lit(e.Addr)
		if s.Literal && e.Size < literalSize {
			s.Whole = p.part(e.Addr)
		}
		if p.rec.text(e.Addr) {
			s.Kind = event.StoreText
		}
	}
	return s
}

const literalSize = 8

// part numbers the value that a word of a literal is a part of: one word after the other is
// one value, stored in parts.
func (p *patcher) part(addr uint64) int {
	if addr^p.half != literalSize/2 {
		p.halves++
	}
	p.half = addr
	return firstOfHalves + p.halves
}

// firstOfHalves is more than a tape numbers.
const firstOfHalves = 1 << 30

// passOn are functions that only pass on what they are asked for: who asks them is worth
// naming.
var passOn = map[string]bool{"aarch64_insn_patch_text_nosync": true, "smp_call_function": true, "smp_call_function_many": true}

// at is the instruction that called the function that a service stands in for; 0 where
// callops itself did what it does.
func (p *patcher) at() uint64 {
	if !p.cpu.Calls().InProgress() {
		return 0
	}
	lr, fp := p.cpu.Regs().X[30], p.cpu.Regs().X[29]
	for {
		sym, _, ok := p.m.k.Symbols.At(lr - insnSize)
		if !ok || !passOn[sym.Name] {
			return lr - insnSize
		}
		record, err := p.m.k.Mem.ReadWords(fp, 2) // its frame record
		if err != nil || record[0] <= fp {
			return lr - insnSize
		}
		fp, lr = record[0], record[1]
	}
}

const insnSize = 4

// writeText is what the kernel's stores to text go through.
func (p *patcher) writeText(cpu emu.CPU, w services.TextWrite, store func() error) error {
	if err := store(); err != nil {
		return err
	}
	if p == nil || !p.rec.on || cpu.ID() != p.cpu.ID() {
		return nil
	}
	p.settle()
	return p.tape.Stored(p.at(), w.Addr, uint64(w.Size), w.Old)
}

// graceKinds are the rules for each flavour.
var graceKinds = map[services.GraceKind]sched.Kind{
	services.RCU: sched.RCU, services.RCUTasks: sched.Tasks, services.RCUTasksRude: sched.Rude,
}

// service is told of what services do.
func (p *patcher) service(e services.Event) {
	if p == nil || !p.rec.on || e.CPU != p.cpu.ID() {
		return
	}
	p.settle()
	switch e.Kind {
	case services.TextMaintained:
		p.tape.Cleaned(p.at(), e.Addr, uint64(e.Size))
	case services.GraceEnded:
		kind, ok := graceKinds[e.Grace]
		if !ok {
			p.fail("%s waits for %s, whose readers are not known", e.Func, e.Grace)
		}
		p.note(Step{Kind: event.GraceBegins, Wait: kind})
		p.note(Step{Kind: event.GraceEnds, Wait: kind})
	case services.Interrupted:
		p.interrupts()
	case services.CallbackQueued:
		kind, ok := graceKinds[e.Grace]
		if !ok {
			p.fail("%s waits for %s, whose readers are not known", e.Func, e.Grace)
		}
		p.note(Step{Kind: event.CallRCU, Wait: kind, Call: len(p.rec.calls)})
		p.queued = append(p.queued, queued{e.Addr, e.Value})
		p.rec.calls = append(p.rec.calls, nil)
	case services.CallbackRun:
		p.runs(queued{e.Addr, e.Value})
	}
}

// note notes what a service did.
func (p *patcher) note(s Step) {
	if p.callback != nil {
		p.fail("%s: %s within a callback", p.m.name(p.at()), s.Kind)
		return
	}
	s.PC = p.at()
	p.rec.note(s)
}

// interrupts notes an IPI to every CPU. There is one event for each of them.
func (p *patcher) interrupts() {
	if now := p.cpu.Count(); p.ipi.at != now {
		p.interrupted()
		p.ipi = ipi{at: now, pc: p.at()}
		p.note(Step{Kind: event.InterruptAll})
		p.note(Step{Kind: event.AllAnswered})
	}
	p.ipi.cpus++
}

// interrupted checks that the last IPI went to every CPU: the search knows no other.
func (p *patcher) interrupted() {
	if others := len(p.m.k.CPUs) - 1; p.ipi.cpus != 0 && p.ipi.cpus != others {
		p.fail("%s interrupts %d of %d CPUs", p.m.name(p.ipi.pc), p.ipi.cpus, others)
	}
	p.ipi.cpus = 0
}

// runs notes that a callback begins to run.
func (p *patcher) runs(q queued) {
	for i, have := range p.queued {
		if have == q && p.rec.calls[i] == nil {
			p.callback = &running{number: i, depth: p.cpu.Calls().Depth()}
			return
		}
	}
	p.fail("callback %s of %#x was not queued", p.m.name(q.fn), q.arg)
}

// settle ends a callback that has returned. What it stored is freed memory from then
// on, which no CPU may look at.
func (p *patcher) settle() {
	c := p.callback
	if c == nil || p.cpu.Calls().Depth() > c.depth {
		return
	}
	p.callback = nil
	p.rec.calls[c.number] = append([]Object{}, c.freed...)
	for _, e := range c.stores {
		if e.Kind != record.Store && e.Kind != record.Release {
			continue
		}
		if !freed(c.freed, e.Addr) {
			p.fail("%s stores to %s in a callback, which does not free it", p.m.name(e.PC), p.m.name(e.Addr))
		}
	}
}

func freed(objects []Object, addr uint64) bool {
	for _, o := range objects {
		if o.Contains(addr) {
			return true
		}
	}
	return false
}

// object is told of what is allocated and freed.
func (p *patcher) object(o emu.Object) {
	if !p.rec.on {
		return
	}
	p.settle()
	at := Object{objectName(o.Name), kernelimage.Range{Start: o.Addr, End: o.Addr + o.Size}}
	switch {
	case !o.Freed:
		p.rec.made, p.fresh = append(p.rec.made, at), append(p.fresh, at)
	case p.callback != nil:
		p.callback.freed = append(p.callback.freed, at)
	default:
		s := at.free()
		s.PC = p.at()
		p.rec.note(s)
	}
}
