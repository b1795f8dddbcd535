package main

import (
	"context"
	"errors"
	"fmt"

	"callops/emu"
)

// idle is an engine for a kernel that is only inspected and never runs. It is in
// every build.
type idle struct{}

func newIdle(*emu.Memory) (emu.Engine, error) { return idle{}, nil }

func (idle) Name() string                   { return "idle" }
func (idle) NewCPU(id int) (emu.CPU, error) { return &idleCPU{id: id}, nil }
func (idle) Close() error                   { return nil }

type idleCPU struct {
	id    int
	regs  emu.Regs
	calls emu.CallStack
}

func (c *idleCPU) ID() int               { return c.id }
func (c *idleCPU) Regs() *emu.Regs       { return &c.regs }
func (c *idleCPU) Calls() *emu.CallStack { return &c.calls }
func (c *idleCPU) Count() uint64         { return 0 }
func (c *idleCPU) Recent(int) []uint64   { return nil }

func (c *idleCPU) Step() (emu.Exit, error) { return c.Run(context.Background(), 1) }

func (c *idleCPU) Run(context.Context, uint64) (emu.Exit, error) {
	return emu.Exit{PC: c.regs.PC}, fmt.Errorf("CPU %d: %w", c.id, errors.ErrUnsupported)
}
