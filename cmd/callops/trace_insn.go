package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/ftrace"
	"callops/kernel"
	"callops/machine"
	"callops/trace"
)

// traceInsns prints each instruction that is executed and each word that is
// patched.
func (t *tracing) traceInsns(cmd *cobra.Command, p *insnPrinter, m *machine.Machine, traced func(onStep func(emu.CPU, *emu.Regs)) error) error {
	k, r := m.Kernel, m.Ftrace
	p.start()
	step := func() error { return traced(p.step) }
	if len(t.filter)+len(t.notrace) == 0 {
		return step()
	}
	fn, extra := tracerOf(r, t.opsFunc.value)
	if fn == r.Code().FunctionTracer {
		if _, err := trace.NewRing(k, 0, ringEntries); err != nil {
			return err
		}
	}
	o, err := t.newOps(cmd, r, "trace", fn, extra)
	if err != nil {
		return err
	}
	return registered(r, o, step)
}

// tracerOf returns the address of a tracer and what it wants behind its ops.
func tracerOf(r *ftrace.Registry, name string) (fn uint64, extra int) {
	switch name {
	case "count":
		return r.Code().OpsFuncCount, 8
	case tracerFunction:
		return r.Code().FunctionTracer, 0
	}
	return r.Code().OpsFuncNop, 0
}

// insnPrinter prints instructions as they are executed and text as it is
// patched. It is the ftrace.Memory of the kernel it prints: its live memory, with
// an eye on the stores.
type insnPrinter struct {
	ftrace.Memory
	names
	out      io.Writer
	literals map[uint64]string // address of a literal to its function
	started  bool
}

func newInsnPrinter(out io.Writer, k *kernel.Kernel) *insnPrinter {
	p := &insnPrinter{Memory: ftrace.LiveMemory(k), names: names{k}, out: out, literals: make(map[uint64]string)}
	sites := slices.Clone(k.Sites())
	for _, m := range k.Modules() {
		sites = append(sites, m.Image.Sites...)
	}
	for _, s := range sites {
		if s.Literal != 0 {
			p.literals[s.Literal] = p.function(s.IP)
		}
	}
	return p
}

// start prints the head, and patches from now on.
func (p *insnPrinter) start() {
	fmt.Fprintln(p.out, "# CPU       NUMBER  ADDRESS           WHERE                        WORD      INSTRUCTION, CHANGED REGISTERS")
	p.started = true
}

// step prints the instruction that a CPU has just executed.
func (p *insnPrinter) step(cpu emu.CPU, before *emu.Regs) {
	word, err := p.Load32(before.PC)
	text := ""
	if err != nil {
		text = err.Error()
	} else {
		text = p.disassemble(word, before.PC)
	}
	p.line(fmt.Sprintf("[%03d] %12d", cpu.ID(), cpu.Count()), before.PC, p.short(before.PC),
		fmt.Sprintf("%08x", word), fmt.Sprintf("%-40s%s", text, changes(before, cpu.Regs())))
	if name, ok := p.k.Gates.Name(cpu.Regs().PC); ok && cpu.Regs().PC != emu.ReturnGate {
		p.line("gate", cpu.Regs().PC, name, "", "")
	}
}

func (p *insnPrinter) line(head string, addr uint64, where, word, text string) {
	s := fmt.Sprintf("%-18s  %016x  %-27s  %-8s  %s", head, addr, where, word, text)
	fmt.Fprintln(p.out, strings.TrimRight(s, " "))
}

// Store32 is a store of an instruction.
func (p *insnPrinter) Store32(addr uint64, v uint32) error {
	old, err := p.Load32(addr)
	if err == nil {
		err = p.Memory.Store32(addr, v)
	}
	if p.started && err == nil && p.isText(addr) {
		p.line("patch", addr, p.short(addr), fmt.Sprintf("%08x", v),
			fmt.Sprintf("%s -> %s", p.disassemble(old, addr), p.disassemble(v, addr)))
	}
	return err
}

// Store64 is a store of a literal, or of data.
func (p *insnPrinter) Store64(addr uint64, v uint64) error {
	old, err := p.Load64(addr)
	if err == nil {
		err = p.Memory.Store64(addr, v)
	}
	if p.started && err == nil && p.isText(addr) {
		p.line("patch", addr, "literal of "+p.literals[addr], "", fmt.Sprintf("%s -> %s", p.pointer(old), p.pointer(v)))
	}
	return err
}

func (p *insnPrinter) isText(addr uint64) bool {
	r := p.k.Mem.Region(addr)
	return r != nil && r.Perm&emu.Exec != 0
}

// changes lists the registers, other than pc, in which two states differ.
func changes(before, after *emu.Regs) string {
	var b strings.Builder
	reg := func(name string, was, is uint64) {
		if was != is {
			fmt.Fprintf(&b, "  %s=%#x", name, is)
		}
	}
	for i := range after.X {
		reg(fmt.Sprintf("x%d", i), before.X[i], after.X[i])
	}
	reg("sp", before.SP, after.SP)
	reg("sp_el0", before.SPEL0, after.SPEL0)
	reg("tpidr_el0", before.TPIDREL0, after.TPIDREL0)
	reg("tpidr_el1", before.TPIDREL1, after.TPIDREL1)
	if before.NZCV != after.NZCV {
		b.WriteString("  nzcv=" + flagLetters(after.NZCV))
	}
	return b.String()
}

// flagLetters writes the flags that are set in capitals.
func flagLetters(nzcv uint32) string {
	s := []byte("nzcv")
	for i := range s {
		if nzcv>>(31-i)&1 != 0 {
			s[i] -= 'a' - 'A'
		}
	}
	return string(s)
}
