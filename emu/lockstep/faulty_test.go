package lockstep_test

import (
	"context"

	"callops/emu"
)

// fault is called after each instruction of a faulty engine and may spoil what
// the instruction did.
type fault func(c *faultyCPU, before *emu.Regs)

// faulty is the engine that newEngine opens, with a fault in it.
func faulty(newEngine emu.NewEngine, f fault) emu.NewEngine {
	return func(mem *emu.Memory) (emu.Engine, error) {
		inner, err := newEngine(mem)
		return &faultyEngine{inner, mem, f}, err
	}
}

type faultyEngine struct {
	emu.Engine
	mem   *emu.Memory
	fault fault
}

func (e *faultyEngine) Name() string { return "faulty" }

func (e *faultyEngine) NewCPU(id int) (emu.CPU, error) {
	inner, err := e.Engine.NewCPU(id)
	return &faultyCPU{CPU: inner, mem: e.mem, fault: e.fault}, err
}

type faultyCPU struct {
	emu.CPU
	mem    *emu.Memory
	fault  fault
	count  uint64
	addr   uint64 // where the program's next store goes
	stored uint64 // and what was there before the instruction
}

func (c *faultyCPU) Count() uint64 { return c.count }

func (c *faultyCPU) Step() (emu.Exit, error) {
	before := *c.Regs()
	c.addr = before.X[0] + 8*before.X[2]
	c.stored, _ = c.mem.Load64(c.addr)
	exit, err := c.CPU.Step()
	if err == nil && exit.Reason == emu.ExitBudget {
		c.count++
		c.fault(c, &before)
	}
	return exit, err
}

func (c *faultyCPU) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	for range budget {
		if emu.InGates(c.Regs().PC) {
			break
		}
		if exit, err := c.Step(); err != nil || exit.Reason != emu.ExitBudget {
			return exit, err
		}
	}
	return c.CPU.Run(ctx, 0)
}
