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
	func_, ok := v.Stack(v.X(0) + trampolines.GraphEntFunc)
	part := m.part(v, func_)
	switch {
	case v.X(1) != m.graphs[i].Addr():
		return property.Break(property.FuncHasItsOps, "entry_%s was called with %s", m.ops[i].Name, m.name(v.X(1)))
	case !ok || func_ != m.siteOf(v, part):
		return property.Break(property.ToldCallSite, "entry_%s was told %s", m.ops[i].Name, m.name(func_))
	}
	if b := m.frames(v, part); b != nil {
		return b
	}
	v.Count(m.sc.entriesOf(i, part))
	return nil
}

// graphReturn checks the call of its retfunc: it was told of the call, not yet of this return, and of
// those of the functions that were entered later.
func (m *Machine) graphReturn(v *guest.Visit, i int) *property.Broken {
	func_, ok := v.Stack(v.X(0) + trampolines.GraphRetFunc)
	value, ok2 := v.Stack(v.X(0) + trampolines.GraphRetVal)
	part := m.part(v, func_)
	entries, returns := v.Counted(m.sc.entriesOf(i, part)), v.Counted(m.sc.returnsOf(i, part))
	switch {
	case v.X(1) != m.graphs[i].Addr():
		return property.Break(property.FuncHasItsOps, "return_%s was called with %s", m.ops[i].Name, m.name(v.X(1)))
	case !ok || func_ != m.siteOf(v, part) || m.pending(v, i, part+1):
		return property.Break(property.ToldCallSite, "return_%s was told %s", m.ops[i].Name, m.name(func_))
	case !ok2 || value != m.result(v.Func()):
		return property.Break(property.RegistersKept, "return_%s was told that %#x is returned", m.ops[i].Name, value)
	case returns >= entries:
		return property.Break(property.ReturnAskedFor, "return_%s was called, for %d calls of entry_%s before", m.ops[i].Name, entries, m.ops[i].Name)
	}
	v.Count(m.sc.returnsOf(i, part))
	return nil
}

// pending reports whether ops number i still waits for the return of a function that was entered as
// this part of the call, or later.
func (m *Machine) pending(v *guest.Visit, i, part int) bool {
	for ; part < len(m.parts(v.Func())); part++ {
		if v.Counted(m.sc.entriesOf(i, part)) > v.Counted(m.sc.returnsOf(i, part)) {
			return true
		}
	}
	return false
}

// caller is where a part of the call returns to, as it finds it: where the call came from, or
// return_to_handler once a user wants the return of an earlier part.
func (m *Machine) caller(v *guest.Visit, part int) uint64 {
	for earlier := range part {
		for i := range m.sc.Ops {
			if m.sc.Ops[i].Graph && v.Counted(m.sc.entriesOf(i, earlier)) > 0 {
				return m.r.Code().ReturnToHandler
			}
		}
	}
	return emu.ReturnGate
}
