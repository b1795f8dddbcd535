package guest_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/check/internal/guest"
	"callops/check/internal/weak"
	"callops/check/property"
	"callops/emu"
	"callops/emu/interp"
	"callops/kernel"
	"callops/kernelimage"
)

// rig is a kernel with a few words of data that a writer changes.
type rig struct {
	k    *kernel.Kernel
	h    *weak.History
	data uint64 // words of it
	at   weak.Time
	n    int // modules so far
}

const words = 8

func newRig(t testing.TB) *rig {
	t.Helper()
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, interp.New, &kernel.BootOptions{CPUs: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	data, err := k.Heap.Alloc("data", 8*words)
	require.NoError(t, err)
	return &rig{k: k, h: weak.New(), data: data}
}

// code places a function.
func (r *rig) code(t testing.TB, build func(b *asm.Builder)) kernelimage.Range {
	t.Helper()
	r.n++
	name := fmt.Sprintf("code%d", r.n)
	b := asm.NewBuilder()
	b.Func(name)
	build(b)
	b.EndFunc()
	p, err := r.k.PlaceCode(name, kernel.CodeOptions{Core: true}, b.Assemble)
	require.NoError(t, err)
	return kernelimage.Range{Start: p.Base, End: p.Base + uint64(len(p.Code))}
}

// event appends what the writer does next.
func (r *rig) event(t testing.TB, e weak.Event) weak.Time {
	t.Helper()
	var err error
	r.at, err = r.h.Append(r.at, e)
	require.NoError(t, err)
	return r.at
}

func (r *rig) store(t testing.TB, word int, v uint64) weak.Time {
	t.Helper()
	return r.event(t, weak.Event{Kind: weak.Store, Addr: r.word(word), Size: 8, Value: v})
}

func (r *rig) word(n int) uint64 { return r.data + 8*uint64(n) }

// machine freezes the history and makes a machine whose one task calls fn.
func (r *rig) machine(t testing.TB, fn uint64, change func(*guest.Config)) *guest.Machine {
	t.Helper()
	r.freeze(t)
	return r.another(t, fn, change)
}

// another makes one more machine of the same history.
func (r *rig) another(t testing.TB, fn uint64, change func(*guest.Config)) *guest.Machine {
	t.Helper()
	task := r.k.CPUs[0].Task // what a machine before left there
	require.NoError(t, r.k.Mem.Store64(task+uint64(r.k.Layout.Task.PreemptCount), 1<<32))
	cfg := guest.Config{Kernel: r.k, History: r.h, Tasks: [][]uint64{{fn}}}
	if change != nil {
		change(&cfg)
	}
	m, err := guest.New(cfg)
	require.NoError(t, err)
	return m
}

func (r *rig) freeze(t testing.TB) {
	t.Helper()
	require.NoError(t, r.h.Freeze(func(addr, size uint64) (uint64, error) {
		b := make([]byte, 8)
		err := r.k.Mem.Read(addr, b[:size])
		return binary.LittleEndian.Uint64(b), err
	}, func(addr uint64) bool { reg := r.k.Mem.Region(addr); return reg != nil && reg.Perm&emu.Exec != 0 }))
}

// loadBase puts the address of the data into x9, and the task into x10.
func (r *rig) loadBase(b *asm.Builder) {
	b.Emit(asm.MovImm(asm.X9, r.data)...)
	b.Emit(asm.Mrs(asm.X10, asm.SP_EL0))
}

// preempt changes preempt_count by one.
func (r *rig) preempt(b *asm.Builder, disable bool) {
	count := asm.Off(asm.X10, int64(r.k.Layout.Task.PreemptCount))
	b.Emit(asm.Ldr(asm.W11, count))
	if disable {
		b.Emit(asm.AddImm(asm.W11, asm.W11, 1))
	} else {
		b.Emit(asm.SubImm(asm.W11, asm.W11, 1))
	}
	b.Emit(asm.Str(asm.W11, count))
}

// sees reports whether a node depends on others, or they on it.
func sees(n *guest.Node) bool { return n.Kind != guest.Run || n.Fetch >= 0 || len(n.Loads) > 0 }

// inputs are all that a node's instruction may see, in whatever order the
// stores reach the CPU.
func inputs(r *rig, n *guest.Node) []guest.Input {
	locs := []int{}
	if n.Fetch >= 0 {
		locs = append(locs, n.Fetch)
	}
	for _, l := range n.Loads {
		locs = append(locs, l.Loc)
	}
	list := []guest.Input{0}
	for i, loc := range locs {
		var more []guest.Input
		for _, in := range list {
			r.h.Range(r.h.Location(loc), r.at, 0, func(v weak.Version) { more = append(more, in.With(i, v)) })
		}
		list = more
	}
	return list
}

// behaviours are all ways through a machine's first task: what it sees, what
// the addresses depended on, whether it could be preempted in between, and how
// it ends.
func behaviours(t testing.TB, r *rig, m *guest.Machine) []string {
	t.Helper()
	found := map[string]bool{}
	var walk func(n *guest.Node, way string, could bool)
	walk = func(n *guest.Node, way string, could bool) {
		could = could || n.Preemptible
		switch {
		case n.Kind == guest.Bad:
			found[way+" "+n.Broken.Property.String()] = true
			return
		case n.Kind == guest.Done:
			found[way] = true
			return
		case !sees(n):
			to, err := m.Next(0, n, 0)
			require.NoError(t, err)
			walk(to, way, could)
			return
		}
		if could {
			way += " preempted?"
		}
		for _, in := range inputs(r, n) {
			to, err := m.Next(0, n, in)
			require.NoError(t, err)
			walk(to, fmt.Sprintf("%s %d@%#x%v:%x", way, n.Kind, n.PC, n.Loads, uint32(in)), false)
		}
	}
	walk(m.Node(0, 0), "", false)
	var list []string
	for way := range found {
		list = append(list, way)
	}
	slices.Sort(list)
	return list
}

// nodes collects the nodes that a machine's first task comes to.
func nodes(t testing.TB, r *rig, m *guest.Machine) []*guest.Node {
	t.Helper()
	list := []*guest.Node{m.Node(0, 0)}
	seen := map[*guest.Node]bool{list[0]: true}
	for i := 0; i < len(list); i++ {
		n := list[i]
		if n.Kind == guest.Bad || n.Kind == guest.Done {
			continue
		}
		for _, in := range inputs(r, n) {
			to, err := m.Next(0, n, in)
			require.NoError(t, err)
			if !seen[to] {
				seen[to] = true
				list = append(list, to)
			}
		}
	}
	return list
}

// broken returns what the task breaks: each property once.
func broken(t testing.TB, r *rig, m *guest.Machine) []property.Property {
	t.Helper()
	var list []property.Property
	for _, n := range nodes(t, r, m) {
		if n.Kind == guest.Bad && !slices.Contains(list, n.Broken.Property) {
			list = append(list, n.Broken.Property)
		}
	}
	slices.Sort(list)
	return list
}
