package lockstep

import (
	"context"
	"errors"
	"fmt"

	"callops/emu"
)

// CPU implements [emu.CPU]. After a [*DifferenceError] it does not run any
// more: its registers are those before the instruction in question, and memory
// is as it was when its chunk began.
type CPU struct {
	engine *Engine
	id     int
	cpus   [2]emu.CPU
	regs   emu.Regs
	calls  emu.CallStack
	count  uint64
	failed error
}

// ID implements [emu.CPU].
func (c *CPU) ID() int { return c.id }

// Regs implements [emu.CPU].
func (c *CPU) Regs() *emu.Regs { return &c.regs }

// Calls implements [emu.CPU].
func (c *CPU) Calls() *emu.CallStack { return &c.calls }

// Count implements [emu.CPU].
func (c *CPU) Count() uint64 { return c.count }

// Recent implements [emu.CPU].
func (c *CPU) Recent(n int) []uint64 { return c.cpus[0].Recent(n) }

// Step implements [emu.CPU].
func (c *CPU) Step() (emu.Exit, error) {
	return c.chunk(context.Background(), 1, step)
}

// Run implements [emu.CPU].
func (c *CPU) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	for {
		before := c.count
		exit, err := c.chunk(ctx, min(budget, c.engine.every), run)
		done := c.count - before
		budget -= min(budget, done)
		if err != nil || exit.Reason != emu.ExitBudget || budget == 0 {
			return exit, err
		}
		if done == 0 {
			return exit, fmt.Errorf("lockstep: cpu %d makes no progress at pc %#x", c.id, c.regs.PC)
		}
	}
}

// runner is Run or Step of one of the two.
type runner func(ctx context.Context, cpu emu.CPU, budget uint64) (emu.Exit, error)

func run(ctx context.Context, cpu emu.CPU, budget uint64) (emu.Exit, error) {
	return cpu.Run(ctx, budget)
}

func step(_ context.Context, cpu emu.CPU, budget uint64) (emu.Exit, error) {
	if budget == 0 {
		return emu.Exit{PC: cpu.Regs().PC}, nil
	}
	return cpu.Step()
}

// chunk executes at most n instructions on both and compares.
func (c *CPU) chunk(ctx context.Context, n uint64, run runner) (emu.Exit, error) {
	e := c.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	stay := emu.Exit{PC: c.regs.PC}
	if e.closed {
		return stay, errors.New("lockstep: cpu is closed")
	}
	if c.failed != nil {
		return stay, c.failed
	}
	if err := e.mirror.sync(); err != nil {
		return stay, fmt.Errorf("lockstep: %w", err)
	}

	after, ended, err := c.both(ctx, n, run)
	if err != nil {
		e.mirror.rewind()
		return stay, fmt.Errorf("lockstep: %w", err)
	}
	if !after[0].equal(&after[1]) || !e.mirror.equal() {
		e.mirror.rewind()
		return c.fail(ctx, n, run, after)
	}
	e.mirror.publish()
	c.regs = after[0].Regs
	c.count += after[0].Count
	return after[0].Exit, ended
}

// both runs the one, then the other. When the context ends the first one's
// run, ended is its error, and the second executes as many instructions. It is
// also the error of an instruction that both refuse.
func (c *CPU) both(ctx context.Context, n uint64, run runner) (after [2]State, ended, err error) {
	if after[0], err = outcomeOf(ctx, c.cpus[0], c.regs, n, run); err != nil {
		ended = err
		switch {
		case refuses(err):
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			n = after[0].Count
		default:
			return after, nil, err
		}
	}
	after[1], err = outcomeOf(context.WithoutCancel(ctx), c.cpus[1], c.regs, n, run)
	switch {
	case refuses(ended) && err == nil:
		err = fmt.Errorf("one engine alone: %w", ended)
	case refuses(ended) && refuses(err):
		err = nil // they are compared by where they stand
	case ended != nil:
		after[0].Exit = after[1].Exit // it says nothing when the context ended
	}
	return after, ended, err
}

func refuses(err error) bool {
	var u *emu.UnsupportedError
	return errors.As(err, &u)
}

// fail finds the instruction that made the difference.
func (c *CPU) fail(ctx context.Context, n uint64, run runner, after [2]State) (emu.Exit, error) {
	d, err := c.engine.narrow(context.WithoutCancel(ctx), c.regs, n, run, after)
	if err != nil {
		return emu.Exit{PC: c.regs.PC}, fmt.Errorf("lockstep: narrowing a difference: %w", err)
	}
	c.regs = d.Before
	c.count += d.Count
	d.Count = c.count
	c.failed = d
	return emu.Exit{PC: c.regs.PC}, d
}

// outcomeOf runs one CPU from the registers given.
func outcomeOf(ctx context.Context, cpu emu.CPU, regs emu.Regs, n uint64, run runner) (State, error) {
	before := cpu.Count()
	*cpu.Regs() = regs
	exit, err := run(ctx, cpu, n)
	return State{Regs: *cpu.Regs(), Exit: exit, Count: cpu.Count() - before}, err
}
