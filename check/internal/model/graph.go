package model

import (
	"fmt"
	"slices"

	"callops/asm"
	"callops/check/internal/guest"
	"callops/check/property"
	"callops/emu"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

// hasGraph reports whether the scenario has users of fgraph.
func (sc *Scenario) hasGraph() bool {
	return slices.ContainsFunc(sc.Ops, func(o Ops) bool { return o.Graph })
}

// registry is callops' core, which alone has fgraph here.
func (m *Machine) registry() (*ftrace.Registry, error) {
	r, ok := m.r.(*ftrace.Registry)
	if !ok {
		return nil, fmt.Errorf("fgraph is that of callops' core: %w", ErrUnfit)
	}
	return r, nil
}

// addGraph makes ops number i, a user of fgraph. Its entryfunc wants every return, and both of its functions
// lose what a function may lose.
func (m *Machine) addGraph(i int) error {
	r, err := m.registry()
	if err != nil {
		return err
	}
	spec := &m.sc.Ops[i]
	m.tracer[i][0], err = m.place("entry_"+spec.Name, kernel.CodeOptions{Core: true}, func(b *asm.Builder) {
		lose(b, asm.X1)
		b.Emit(asm.Movz(asm.X0, 1, 0), asm.Ret())
	})
	if err != nil {
		return err
	}
	m.tracer[i][1], err = m.place("return_"+spec.Name, kernel.CodeOptions{Core: true}, func(b *asm.Builder) {
		lose(b, asm.X0)
		b.Emit(asm.Ret())
	})
	if err != nil {
		return err
	}
	m.graphs[i], err = r.NewGraphOps(spec.Name, ftrace.GraphHandlers{Entry: m.tracer[i][0].Start, Return: m.tracer[i][1].Start})
	if err == nil {
		m.ops[i] = m.graphs[i].Ops
	}
	return err
}

// giveStacks has every task get its return stack: the first user is long gone.
func (m *Machine) giveStacks() error {
	r, err := m.registry()
	if err != nil || !m.sc.hasGraph() {
		return nil
	}
	stub := r.Code().Stub
	g, err := r.NewGraphOps("first", ftrace.GraphHandlers{Entry: stub, Return: stub})
	if err != nil {
		return err
	}
	if err := r.SetFilterIP(g.Ops, m.irrelevantSite(), nil); err != nil {
		return err
	}
	for range trampolines.MaxGraphUsers { // then indexes begin at 0 again
		if err := r.RegisterGraph(g); err != nil {
			return err
		}
		if err := r.UnregisterGraph(g); err != nil {
			return err
		}
	}
	return r.FreeGraphOps(g)
}

func (m *Machine) irrelevantSite() uint64 {
	fn, _ := m.k.Func(m.names[Irrelevant])
	return m.sites[fn]
}

func (m *Machine) registerGraph(i int) error {
	r, err := m.registry()
	if err == nil {
		err = r.RegisterGraph(m.graphs[i])
	}
	return err
}

func (m *Machine) unregisterGraph(i int) error {
	r, err := m.registry()
	if err == nil {
		err = r.UnregisterGraph(m.graphs[i])
	}
	return err
}

func (m *Machine) freeGraph(i int) error {
	r, err := m.registry()
	if err != nil {
		return err
	}
	if err := r.FreeGraphOps(m.graphs[i]); err != nil {
		return err
	}
	m.rec.free("entry_"+m.sc.Ops[i].Name, m.tracer[i][0])
	m.rec.free("return_"+m.sc.Ops[i].Name, m.tracer[i][1])
	return nil
}

// returnStacks are those of the CPUs' tasks, by kind.
func (m *Machine) returnStacks() ([]kernelimage.Range, error) {
	if !m.sc.hasGraph() {
		return nil, nil
	}
	var stacks []kernelimage.Range
	for kind := range m.sc.Tasks {
		at, err := m.k.Mem.Load64(m.k.CPUs[kind].Task + uint64(m.k.Layout.Task.RetStack))
		if err != nil {
			return nil, err
		}
		stacks = append(stacks, kernelimage.Range{Start: at, End: at + trampolines.ReturnStackSize})
	}
	return stacks, nil
}

// graphEntry checks the call of entryfunc of ops number i.
func (m *Machine) graphEntry(v *guest.Visit, i int) *property.Broken {
	ip := m.sites[v.Func()]
	func_, ok := v.Stack(v.X(0) + trampolines.GraphEntFunc)
	switch {
	case v.X(1) != m.graphs[i].Addr():
		return property.Break(property.FuncHasItsOps, "entry_%s was called with %s", m.ops[i].Name, m.name(v.X(1)))
	case !ok || func_ != ip:
		return property.Break(property.ToldCallSite, "entry_%s was told %s", m.ops[i].Name, m.name(func_))
	}
	if b := m.frames(v, ip); b != nil {
		return b
	}
	v.Count(i)
	return nil
}

// graphReturn checks the call of its retfunc: it was told of the call, and not yet of this return.
func (m *Machine) graphReturn(v *guest.Visit, i int) *property.Broken {
	ip := m.sites[v.Func()]
	func_, ok := v.Stack(v.X(0) + trampolines.GraphRetFunc)
	value, ok2 := v.Stack(v.X(0) + trampolines.GraphRetVal)
	entries, returns := v.Counted(i), v.Counted(m.returnsOf(i))
	switch {
	case v.X(1) != m.graphs[i].Addr():
		return property.Break(property.FuncHasItsOps, "return_%s was called with %s", m.ops[i].Name, m.name(v.X(1)))
	case !ok || func_ != ip:
		return property.Break(property.ToldCallSite, "return_%s was told %s", m.ops[i].Name, m.name(func_))
	case !ok2 || value != guest.Entry(0):
		return property.Break(property.RegistersKept, "return_%s was told that %#x is returned", m.ops[i].Name, value)
	case returns >= entries:
		return property.Break(property.ReturnAskedFor, "return_%s was called, for %d calls of entry_%s before", m.ops[i].Name, entries, m.ops[i].Name)
	}
	v.Count(m.returnsOf(i))
	return nil
}

// returnsOf is where returns of ops number i are counted.
func (m *Machine) returnsOf(i int) int { return len(m.sc.Ops) + i }

// returnsTo reports whether the traced function may return to an address: where it was called from, or to
// return_to_handler once a user wants that.
func (m *Machine) returnsTo(v *guest.Visit, lr uint64) bool {
	if lr == emu.ReturnGate {
		return true
	}
	for i := range m.sc.Ops {
		if m.sc.Ops[i].Graph && v.Counted(i) > 0 && lr == m.r.Code().ReturnToHandler {
			return true
		}
	}
	return false
}
