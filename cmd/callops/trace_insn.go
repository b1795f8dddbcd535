package main

import (
	"slices"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernel/services"
	"callops/machine"
	"callops/trace"
)

// traceInsns runs the calls and prints each instruction that is executed and each
// word that is patched.
func (t *tracing) traceInsns(cmd *cobra.Command, p *insnTracer, m *machine.Machine, traced func(onStep onStepFunc) error) error {
	p.started = true
	step := func() error {
		for _, cpu := range m.Kernel.CPUs {
			p.start = append(p.start, cpu.Count()) // of what registered the tracer
		}
		return traced(p.step)
	}
	if len(t.filter)+len(t.notrace) == 0 {
		return step()
	}
	fn, extra := tracerOf(m.Ftrace, t.opsFunc.value)
	if fn == m.Ftrace.Code().FunctionTracer {
		if _, err := trace.NewRings(m.Kernel, ringEntries); err != nil {
			return err
		}
	}
	o, err := t.newOps(cmd, m, "trace", fn, extra)
	if err != nil {
		return err
	}
	return registered(m.Ftrace, o, step)
}

// tracerOf returns the address of a tracer and the data that it needs after its ops.
func tracerOf(r ftrace.Core, name string) (fn uint64, extra int) {
	switch name {
	case "count":
		return r.Code().OpsFuncCount, 8
	case tracerFunction:
		return r.Code().FunctionTracer, 0
	}
	return r.Code().OpsFuncNop, 0
}

// insnTracer prints instructions as they are executed and text as it is patched.
// It is the kernel's ftrace.Memory: its live memory, with stores observed.
type insnTracer struct {
	ftrace.Memory
	names
	out      trace.InsnWriter
	literals map[uint64]string // from the address of a literal to its function
	started  bool
	start    []uint64 // what each CPU had executed when the trace began
}

func newInsnTracer(out trace.InsnWriter, k *kernel.Kernel) *insnTracer {
	p := &insnTracer{Memory: ftrace.LiveMemory(k), names: names{k}, out: out, literals: make(map[uint64]string)}
	sites := slices.Clone(k.Sites())
	for _, m := range k.Modules() {
		sites = append(sites, m.Image.Sites()...)
	}
	for _, s := range sites {
		if s.Literal != 0 {
			p.literals[s.Literal] = p.function(s.IP)
		}
	}
	return p
}

// step prints the instruction that a CPU has just executed.
func (p *insnTracer) step(cpu emu.CPU, before *emu.Regs) {
	e := trace.Insn{
		CPU: cpu.ID(), Number: p.number(cpu), Addr: before.PC, Where: p.short(before.PC), Changes: trace.RegChanges(before, cpu.Regs()),
	}
	word, err := p.Load32(before.PC)
	if err != nil {
		e.Text = err.Error()
	} else {
		e.Word, e.Text = word, p.disassemble(word, before.PC)
	}
	if name, ok := p.k.Gates.Name(cpu.Regs().PC); ok && cpu.Regs().PC != emu.ReturnGate {
		e.Gate = name
	}
	p.out.Insn(e)
}

// number is what a CPU has executed since the trace began.
func (p *insnTracer) number(cpu emu.CPU) uint64 {
	if p.start == nil {
		return 0
	}
	return cpu.Count() - p.start[cpu.ID()]
}

// Store32 is a store of an instruction.
func (p *insnTracer) Store32(addr uint64, v uint32) error {
	old, err := p.Load32(addr)
	if err == nil {
		err = p.Memory.Store32(addr, v)
	}
	if err == nil {
		p.patched(p.k.CPUs[0].CPU, services.TextWrite{Addr: addr, Size: 4, Old: uint64(old), New: uint64(v)})
	}
	return err
}

// Store64 is a store of a literal, or of data.
func (p *insnTracer) Store64(addr uint64, v uint64) error {
	old, err := p.Load64(addr)
	if err == nil {
		err = p.Memory.Store64(addr, v)
	}
	if err == nil {
		p.patched(p.k.CPUs[0].CPU, services.TextWrite{Addr: addr, Size: 8, Old: old, New: v})
	}
	return err
}

// patched prints a store, where it is one to text. callops' own core, which runs on no CPU, counts as
// the first one.
func (p *insnTracer) patched(cpu emu.CPU, w services.TextWrite) {
	if !p.started || !p.isText(w.Addr) {
		return
	}
	patch := trace.Patch{CPU: cpu.ID(), Number: p.number(cpu), Addr: w.Addr, Size: w.Size, OldValue: w.Old, Value: w.New, Where: "literal of " + p.literals[w.Addr], Old: p.pointer(w.Old), New: p.pointer(w.New)}
	if w.Size == 4 {
		patch.Where = p.short(w.Addr)
		patch.Old, patch.New = p.disassemble(uint32(w.Old), w.Addr), p.disassemble(uint32(w.New), w.Addr)
	}
	p.out.Patch(patch)
}

func (p *insnTracer) isText(addr uint64) bool {
	r := p.k.Mem.Region(addr)
	return r != nil && r.Perm&emu.Exec != 0
}
