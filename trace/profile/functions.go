package profile

import (
	"cmp"
	"maps"
	"slices"
)

// Function is what was executed of a function, without what it called.
type Function struct {
	Name  string
	Addr  uint64
	Count uint64 // instructions
}

// Functions are those that executed anything, the most expensive first.
func (p *Profile) Functions() []Function {
	counts := make(map[uint64]uint64)
	p.root.add(counts)
	list := make([]Function, 0, len(counts))
	for _, addr := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, Function{p.name(addr), addr, counts[addr]})
	}
	slices.SortStableFunc(list, func(a, b Function) int { return cmp.Compare(b.Count, a.Count) })
	return list
}

// add adds what the node and those below it executed, by function.
func (n *node) add(counts map[uint64]uint64) {
	sum := uint64(0)
	for _, c := range n.counts {
		sum += c
	}
	if sum != 0 {
		counts[n.fn] += sum
	}
	for _, c := range n.children {
		c.add(counts)
	}
}
