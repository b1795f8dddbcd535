package play

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"callops/emu/interp"
	"callops/emu/record"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/machine"
)

// Run plays a script on an image, which is the built-in kernel where it is nil. What the calls or the
// actions do wrong is part of the recording; the error is that the script could not be played.
func Run(ctx context.Context, img *kernelimage.Image, s *Script) (_ *Recording, err error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	scheme := ftrace.CallOps
	if s.Scheme != "" {
		if scheme, err = ftrace.ParseScheme(s.Scheme); err != nil {
			return nil, err
		}
	}
	r := &run{script: s, scheme: scheme, ops: make(map[string]*ftrace.Ops), rec: &Recording{Script: *s, Frames: []Frame{}}}
	m, err := machine.New(ctx, &machine.Config{Image: img, Engine: record.Of(interp.New), Ftrace: r.options})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := r.play(ctx, m); err != nil {
		return nil, err
	}
	return r.rec, nil
}

// run is a script that is being played.
type run struct {
	*patcher
	script  *Script
	scheme  ftrace.Scheme
	m       *machine.Machine
	ops     map[string]*ftrace.Ops
	rec     *Recording
	n       int // instructions executed
	next    int // action
	stack   kernelimage.Range
	visited map[uint64]bool // functions
	full    bool            // there are more frames than MaxFrames
}

func (r *run) options(k *kernel.Kernel) (*ftrace.Options, error) {
	r.patcher = newPatcher(k, r.add)
	return &ftrace.Options{Scheme: r.scheme, Memory: r.patcher, Grace: r.patcher}, nil
}

func (r *run) add(f Frame) {
	if len(r.rec.Frames) == MaxFrames {
		r.full = true
		return
	}
	f.N = r.n
	r.rec.Frames = append(r.rec.Frames, f)
}

func (r *run) play(ctx context.Context, m *machine.Machine) error {
	r.m = m
	fn, err := m.Kernel.Func(r.script.Func)
	if err != nil {
		return err
	}
	cpu, ok := m.Kernel.CPUs[0].CPU.(*record.CPU)
	if !ok {
		return fmt.Errorf("the CPU can't be observed: %w", errno.EINVAL)
	}
	r.stack = m.Kernel.CPUs[0].Stack
	r.rec.Image, r.rec.Site = m.Kernel.Image.Name(), r.site(fn)
	r.visited = map[uint64]bool{}
	r.visit(fn)
	r.patcher.recording = true
	for range max(r.script.Calls, 1) {
		if err := r.act(); err != nil {
			return err
		}
		if err := r.call(ctx, cpu, fn); err != nil {
			r.rec.Error = err.Error()
			break
		}
	}
	r.next = r.due(MaxInstructions + 1)
	r.quiesce()
	r.sortCode()
	if r.full {
		return r.tooLong()
	}
	return ctx.Err()
}

func (*run) tooLong() error { return fmt.Errorf("more than %d frames: %w", MaxFrames, errno.E2BIG) }

// call makes one of the calls.
func (r *run) call(ctx context.Context, cpu *record.CPU, fn uint64) error {
	call := Call{First: len(r.rec.Frames), Parts: map[Part]int{}}
	r.rec.Calls = append(r.rec.Calls, call)
	r.inCall = true
	cpu.Observe(func(in *record.Insn) error { return r.step(cpu, in) })
	res, err := r.m.Kernel.Call(ctx, 0, nil, fn, r.script.Args...)
	cpu.Observe(nil)
	last := &r.rec.Calls[len(r.rec.Calls)-1]
	if err == nil {
		last.Result = fmt.Sprintf("%#x", res.X0)
		r.rec.Result = last.Result
		r.add(Frame{Kind: Return, Text: fmt.Sprintf("%s returns %#x", r.script.Func, res.X0)})
	}
	r.quiesce()
	return err
}

// step records an instruction, and does the actions that are due after it.
func (r *run) step(cpu *record.CPU, in *record.Insn) error {
	if r.n++; r.n > MaxInstructions {
		return fmt.Errorf("more than %d instructions: %w", MaxInstructions, errno.E2BIG)
	}
	if len(r.rec.Start) == 0 {
		r.rec.Start = changes(nil, &in.Before)
	}
	part := r.visit(in.PC)
	r.rec.Calls[len(r.rec.Calls)-1].Parts[part]++
	f := Frame{
		Kind: Insn, Addr: hex(in.PC), Where: r.short(in.PC), Text: r.disassemble(in.Word, in.PC), Part: part,
		Regs: changes(&in.Before, cpu.Regs()), Next: hex(cpu.Regs().PC),
	}
	for _, a := range in.Accesses {
		switch {
		case r.stack.Contains(a.Addr) && a.Store:
			f.Stack = append(f.Stack, Word{Addr: hex(a.Addr), Value: hex(a.Value), Name: r.short(a.Value)})
		case !a.Store && !r.stack.Contains(a.Addr):
			f.Reads = append(f.Reads, Access{What: r.what(a.Addr), Value: r.pointer(a.Value)})
		}
	}
	r.add(f)
	return r.act()
}

// what names what lies at an address.
func (r *run) what(addr uint64) string {
	if site, ok := r.literals[addr]; ok {
		return "literal of " + site
	}
	if o, ok := r.m.Kernel.Heap.Lookup(addr); ok && addr != o.Addr {
		return fmt.Sprintf("%s+%#x", o.Name, addr-o.Addr)
	}
	return r.pointer(addr)
}

// due is the index of the first action that is not due once n instructions have been executed.
func (r *run) due(n int) int {
	i := r.next
	for i < len(r.script.Actions) && r.script.Actions[i].At <= n {
		i++
	}
	return i
}

// act does the actions that are due.
func (r *run) act() error {
	for end := r.due(r.n); r.next < end; {
		a := r.script.Actions[r.next]
		r.next++
		name := fmt.Sprintf("%s %s", a.Do, a.Ops)
		if a.Do == Register && a.Filter != "" {
			name += " on " + a.Filter
		}
		r.perform(name, func() error { return r.do(a) })
	}
	return nil
}

// do is an action, on the patcher's goroutine.
func (r *run) do(a Action) error {
	if r.full {
		return r.tooLong()
	}
	o := r.ops[a.Ops]
	if a.Do == Unregister {
		if o == nil {
			return fmt.Errorf("%s has never been registered: %w", a.Ops, errno.EINVAL)
		}
		if err := r.m.Ftrace.Unregister(o); err != nil {
			return err
		}
		delete(r.ops, a.Ops)
		return r.m.Ftrace.FreeOps(o)
	}
	if o == nil {
		if len(r.ops) == MaxOps {
			return fmt.Errorf("more than %d ops: %w", MaxOps, errno.E2BIG)
		}
		var err error
		if o, err = r.m.Ftrace.NewOps(a.Ops, r.m.Ftrace.Code().OpsFuncCount, &ftrace.OpsOptions{Extra: 8}); err != nil {
			return err
		}
		if err := r.m.Ftrace.SetFilter(o, a.Filter, nil); err != nil {
			return errors.Join(err, r.m.Ftrace.FreeOps(o))
		}
	}
	if err := r.m.Ftrace.Register(o); err != nil {
		return err
	}
	r.ops[a.Ops] = o
	return nil
}

// site is the call site of the function at fn, if it has one.
func (r *run) site(fn uint64) Site {
	s, ok := r.m.Kernel.Site(fn)
	if !ok {
		return Site{}
	}
	site := Site{Where: r.short(fn), Words: []Line{}}
	if s.Literal != 0 && r.m.Ftrace.CallOps() {
		v, err := r.m.Kernel.Mem.Load64(s.Literal)
		if err == nil {
			site.Literal = r.pointer(v)
		}
	}
	for _, pc := range []uint64{s.IP - 4, s.IP} {
		site.Words = append(site.Words, Line{Addr: hex(pc), Text: r.text(pc)})
	}
	return site
}

// visit lists the function that pc is in, the first time, and returns what it belongs to.
func (r *run) visit(pc uint64) Part {
	sym, _, ok := r.m.Kernel.Symbols.At(pc)
	if !ok {
		return Traced
	}
	part := r.part(sym.Addr)
	if !r.visited[sym.Addr] {
		r.visited[sym.Addr] = true
		r.rec.Code = append(r.rec.Code, Block{Name: sym.Name, Part: part, Lines: r.listing(sym)})
	}
	return part
}

// listing is a function's code, its literal first if it has one, as it was before the first frame.
func (r *run) listing(sym kernelimage.Symbol) []Line {
	lines := []Line{}
	if s, ok := r.m.Kernel.Site(sym.Addr); ok && s.Literal != 0 && r.m.Ftrace.CallOps() {
		v, _ := r.m.Kernel.Mem.Load64(s.Literal) // it is in text, which is mapped
		lines = append(lines, Line{Addr: hex(s.Literal), Text: ".quad " + r.before(s.Literal, r.pointer(v))})
	}
	for at := sym.Addr; at < sym.Addr+min(sym.Size, maxBlock); at += 4 {
		if _, ok := r.literals[at]; ok {
			break // that of the function which follows
		}
		lines = append(lines, Line{Addr: hex(at), Text: r.before(at, r.text(at))})
	}
	return lines
}

// before is what text held before the first frame, of what it holds now.
func (r *run) before(addr uint64, now string) string {
	if was, ok := r.original[addr]; ok {
		return was
	}
	return now
}

// maxBlock is how many bytes of a function are listed.
const maxBlock = 8192

func (r *run) part(fn uint64) Part {
	c := r.m.Ftrace.Code()
	switch {
	case fn >= c.Caller && fn < c.CallerEnd:
		return Caller
	case fn == c.ListFunc || fn == c.AssistFunc || fn == c.SetFunc || fn == c.SetAssistFunc:
		return List
	case fn == c.OpsFuncCount || fn == c.NopFunc || fn == c.Stub:
		return Tracer
	}
	return Traced
}

func (r *run) sortCode() {
	slices.SortStableFunc(r.rec.Code, func(a, b Block) int { return slices.Index(order, a.Part) - slices.Index(order, b.Part) })
}

var order = []Part{Traced, Caller, List, Tracer}
