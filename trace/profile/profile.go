// Package profile counts instructions by function, line and stack, and writes them for
// flame graphs and for `go tool pprof`.
//
// A [Counter] is told each instruction that a CPU executes, and follows calls and returns
// by what the instructions are: nothing of the stack in memory is read, so functions without a frame
// and assembler are in it too. [FromGraph] takes what function_graph recorded, and knows of functions
// that it traced alone.
package profile

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"callops/kernelimage"
)

// Profile is how many instructions were executed in each stack.
type Profile struct {
	names Names
	root  node
}

// Names returns the function at addr: its name, and where it begins and ends. What belongs to
// none has an end of 0, and its address for a name.
type Names func(addr uint64) (name string, start, end uint64)

// NewNames are those of symbols, in address order. A function ends where the next begins, at the latest.
func NewNames(symbols []kernelimage.Symbol) Names {
	funcs := slices.DeleteFunc(slices.Clone(symbols), func(s kernelimage.Symbol) bool { return !s.Func })
	funcs = slices.CompactFunc(funcs, func(a, b kernelimage.Symbol) bool { return a.Addr == b.Addr })
	return func(addr uint64) (string, uint64, uint64) {
		next := sort.Search(len(funcs), func(i int) bool { return funcs[i].Addr > addr })
		if next == 0 {
			return fmt.Sprintf("%#x", addr), 0, 0
		}
		f := funcs[next-1]
		end := uint64(math.MaxUint64)
		if next < len(funcs) {
			end = funcs[next].Addr
		}
		if f.Size != 0 {
			end = min(end, f.Addr+f.Size)
		}
		if addr >= end {
			return fmt.Sprintf("%#x", addr), 0, 0
		}
		return f.Name, f.Addr, end
	}
}

// node is a function, called by way of all those above it.
type node struct {
	parent   *node
	call     uint64 // the instruction that called it; 0: not known
	fn       uint64 // where the function begins
	children map[edge]*node
	counts   []uint64 // by instruction of the function
}

type edge struct{ call, fn uint64 }

// maxFunction bounds the counters of a function, in instructions; what is beyond counts as
// its last one.
const maxFunction = 1 << 16

// child is a function called from n.
func (n *node) child(call, fn uint64) *node {
	key := edge{call, fn}
	c := n.children[key]
	if c == nil {
		c = &node{parent: n, call: call, fn: fn}
		if n.children == nil {
			n.children = make(map[edge]*node)
		}
		n.children[key] = c
	}
	return c
}

// count adds instructions at an address of the function.
func (n *node) count(addr, instructions uint64) {
	i := min((addr-n.fn)/4, maxFunction-1)
	if i >= uint64(len(n.counts)) {
		grown := make([]uint64, i+1, 2*(i+1))
		copy(grown, n.counts)
		n.counts = grown
	}
	n.counts[i] += instructions
}

// each calls f for every node below n, in the order of addresses.
func (n *node) each(f func(*node)) {
	list := make([]*node, 0, len(n.children))
	for _, c := range n.children {
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].fn != list[j].fn {
			return list[i].fn < list[j].fn
		}
		return list[i].call < list[j].call
	})
	for _, c := range list {
		f(c)
		c.each(f)
	}
}
