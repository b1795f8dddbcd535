package model

import (
	"slices"
	"strings"

	"callops/check/internal/guest"
	"callops/check/property"
)

// failSet is the hook of allocations: it has one set find no memory.
func (m *Machine) failSet() func(what string) bool {
	asked := 0
	return func(what string) bool {
		if what != "set of ops" {
			return false
		}
		asked++
		return asked == m.sc.NoSet
	}
}

// watchSets checks what the funcs of sets are called with: a set.
func (m *Machine) watchSets(w map[uint64]func(*guest.Visit) *property.Broken) {
	if !m.sc.Sets {
		return
	}
	code := m.r.Code()
	for name, fn := range map[string]uint64{"ftrace_ops_set_func": code.SetFunc, "ftrace_ops_set_assist_func": code.SetAssistFunc} {
		w[fn] = func(v *guest.Visit) *property.Broken {
			if m.isSet(v.X(2)) {
				return nil
			}
			return property.Break(property.FuncHasItsOps, "%s was called with %s", name, m.name(v.X(2)))
		}
	}
}

// isSet reports whether a set begins at addr: one that was there when the scenario began, or that
// an operation makes.
func (m *Machine) isSet(addr uint64) bool {
	if o, ok := m.k.Heap.Lookup(addr); ok && o.Addr == addr && isSetName(o.Name) {
		return true
	}
	return slices.ContainsFunc(m.made, func(o Object) bool { return o.Start == addr && isSetName(o.name) })
}

func isSetName(name string) bool { return strings.HasPrefix(name, "set [") }

// inOrder checks that the ops of a site are called newest first, as the list has them.
func (m *Machine) inOrder(v *guest.Visit, i int) *property.Broken {
	if m.sc.AnyOrder {
		return nil
	}
	for older := range i {
		if v.Counted(older) > 0 {
			return property.Break(property.NewestFirst, "%s was called after %s", m.sc.Ops[i].Name, m.sc.Ops[older].Name)
		}
	}
	return nil
}
