package emu

import (
	"fmt"
	"iter"

	"callops/internal/errno"
)

// The gate area: addresses that no region may cover. A CPU whose PC enters it
// stops with [ExitGate] before anything executes there, so a gate costs no
// guest instruction; of a call's budget it takes one (see [Caller.Serve]).
const (
	GateBase  = 0xffff_a000_0000_0000
	GateSize  = 0x10000
	gateStep  = 16
	gateSlots = GateSize / gateStep

	// ReturnGate is where [Caller.Call] lets the called function return to.
	ReturnGate = GateBase
)

// InGates reports whether addr lies in the gate area.
func InGates(addr uint64) bool { return addr-GateBase < GateSize }

// GateFunc is a Go function that guest code calls: x0..x7 come as args, and
// the result goes to x0. It may read and change the CPU's other registers and
// call guest functions on it. An error ends the call that led here.
type GateFunc func(cpu CPU, args [8]uint64) (uint64, error)

type gate struct {
	name string
	fn   GateFunc
}

// Gates are the Go functions that guest code can call. Adding is not safe
// while a CPU runs.
type Gates struct {
	gates []gate
}

// NewGates returns gates of which only [ReturnGate] is taken.
func NewGates() *Gates { return &Gates{gates: []gate{{name: "return_to_host"}}} }

// Add gives fn an address; ENOSPC when the area is full.
func (g *Gates) Add(name string, fn GateFunc) (uint64, error) {
	if len(g.gates) == gateSlots {
		return 0, fmt.Errorf("gate %s: all %d gates taken: %w", name, gateSlots, errno.ENOSPC)
	}
	g.gates = append(g.gates, gate{name, fn})
	return GateBase + uint64(len(g.gates)-1)*gateStep, nil
}

// Name returns the name of the gate at addr.
func (g *Gates) Name(addr uint64) (string, bool) {
	e, ok := g.at(addr)
	return e.name, ok
}

// All are the gates in use: address and name.
func (g *Gates) All() iter.Seq2[uint64, string] {
	return func(yield func(uint64, string) bool) {
		for i, gate := range g.gates {
			if !yield(GateBase+uint64(i)*gateStep, gate.name) {
				return
			}
		}
	}
}

// Serve calls the gate at pc, on which the CPU stands, and returns to its caller in the guest. A [*Fault] where there is none.
func (g *Gates) Serve(cpu CPU, pc uint64) error {
	e, ok := g.at(pc)
	if !ok || e.fn == nil {
		return &Fault{Addr: pc, Access: Fetch, Kind: Unmapped, PC: pc}
	}
	regs := cpu.Regs()
	ret := regs.X[30]
	x0, err := e.fn(cpu, [8]uint64(regs.X[:8]))
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	regs.X[0], regs.PC = x0, ret
	return nil
}

func (g *Gates) at(addr uint64) (gate, bool) {
	i := (addr - GateBase) / gateStep
	if !InGates(addr) || addr%gateStep != 0 || i >= uint64(len(g.gates)) {
		return gate{}, false
	}
	return g.gates[i], true
}
