package emu_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

// scripted is a CPU whose exits are written down: for what guest code cannot
// be made to do at a given moment. Real engines are in enginetest.
type scripted struct {
	regs  emu.Regs
	calls emu.CallStack
	count uint64
	runs  []func(c *scripted, budget uint64) (emu.Exit, error)
}

func (c *scripted) ID() int               { return 0 }
func (c *scripted) Regs() *emu.Regs       { return &c.regs }
func (c *scripted) Calls() *emu.CallStack { return &c.calls }
func (c *scripted) Count() uint64         { return c.count }
func (c *scripted) Recent(int) []uint64   { return []uint64{c.regs.PC} }
func (c *scripted) Step() (emu.Exit, error) {
	return c.Run(context.Background(), 1)
}

func (c *scripted) Run(_ context.Context, budget uint64) (emu.Exit, error) {
	next := c.runs[0]
	c.runs = c.runs[1:]
	return next(c, budget)
}

func to(pc, count uint64) func(*scripted, uint64) (emu.Exit, error) {
	return func(c *scripted, _ uint64) (emu.Exit, error) {
		c.regs.PC = pc
		c.count += count
		return emu.Exit{Reason: emu.ExitGate, PC: pc}, nil
	}
}

func returns(x0, count uint64) func(*scripted, uint64) (emu.Exit, error) {
	return func(c *scripted, budget uint64) (emu.Exit, error) {
		c.regs.X[0] = x0
		return to(emu.ReturnGate, count)(c, budget)
	}
}

func TestCall_SetsUpRegistersAndGivesThemBack(t *testing.T) {
	cpu := &scripted{regs: emu.Regs{PC: 4, SP: 0x1008}}
	for i := range cpu.regs.X {
		cpu.regs.X[i] = uint64(100 + i)
	}
	before := cpu.regs
	cpu.runs = append(cpu.runs, func(c *scripted, budget uint64) (emu.Exit, error) {
		assert.Equal(t, []uint64{1, 2, 0, 0, 0, 0, 0, 0, 108}, c.regs.X[:9])
		assert.Equal(t, uint64(emu.ReturnGate), c.regs.X[30])
		assert.Equal(t, uint64(0x1000), c.regs.SP, "a stack pointer is 16-byte aligned")
		assert.Equal(t, uint64(0x4000), c.regs.PC)
		assert.Equal(t, uint64(emu.DefaultBudget), budget)
		return returns(9, 5)(c, budget)
	})
	caller := emu.Caller{Gates: emu.NewGates()}
	res, err := caller.Call(context.Background(), cpu, nil, 0x4000, 1, 2)
	require.NoError(t, err)
	assert.Equal(t, emu.Result{X0: 9, Count: 5}, res)
	assert.Equal(t, before, cpu.regs)
}

func TestCall_BudgetCoversAllItsPieces(t *testing.T) {
	gates := emu.NewGates()
	g, err := gates.Add("g", func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil })
	require.NoError(t, err)
	cpu := &scripted{}
	cpu.runs = append(cpu.runs, to(g, 6), func(c *scripted, budget uint64) (emu.Exit, error) {
		assert.Equal(t, uint64(3), budget, "the gate took one")
		c.count += 3
		return emu.Exit{Reason: emu.ExitBudget}, nil
	})
	caller := emu.Caller{Gates: gates}
	res, err := caller.Call(context.Background(), cpu, &emu.CallOptions{Budget: 10}, 0x4000)
	require.ErrorIs(t, err, emu.ErrBudget)
	assert.Equal(t, uint64(9), res.Count, "what is counted was executed")
}

func TestCall_ErrorsSayWhatAndWhere(t *testing.T) {
	fault := &emu.Fault{Addr: 0xdead, Kind: emu.Unmapped, PC: 0x4004}
	host := errors.New("host failure")
	for name, c := range map[string]struct {
		exit emu.Exit
		err  error
		is   error
	}{
		"fault":     {exit: emu.Exit{Reason: emu.ExitFault, PC: 0x4004, Fault: fault}, is: errno.EFAULT},
		"host":      {exit: emu.Exit{PC: 0x4004}, err: host, is: host},
		"context":   {exit: emu.Exit{PC: 0x4004}, err: context.Canceled, is: context.Canceled},
		"undefined": {exit: emu.Exit{Reason: emu.ExitUndefined, PC: 0x4004}},
	} {
		t.Run(name, func(t *testing.T) {
			cpu := &scripted{}
			cpu.runs = append(cpu.runs, func(s *scripted, _ uint64) (emu.Exit, error) {
				s.regs.PC, s.count = 0x4004, 1
				return c.exit, c.err
			})
			caller := emu.Caller{Gates: emu.NewGates()}
			res, err := caller.Call(context.Background(), cpu, nil, 0x4000)
			var ce *emu.CallError
			require.ErrorAs(t, err, &ce)
			assert.Equal(t, c.exit, ce.Exit)
			assert.Equal(t, uint64(0x4000), ce.Addr)
			assert.Equal(t, uint64(0x4004), ce.Regs.PC)
			assert.Equal(t, []uint64{0x4004}, ce.Recent)
			assert.Equal(t, uint64(1), res.Count)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			} else {
				var ee *emu.ExitError
				assert.ErrorAs(t, err, &ee)
			}
			assert.Zero(t, cpu.regs, "the registers are restored all the same")
		})
	}
}

func TestCall_TooManyArguments(t *testing.T) {
	caller := emu.Caller{Gates: emu.NewGates()}
	_, err := caller.Call(context.Background(), &scripted{}, nil, 0x4000, make([]uint64, emu.MaxArgs+1)...)
	require.ErrorIs(t, err, errno.E2BIG)
}

func TestGates_HaveAddressesAndNames(t *testing.T) {
	gates := emu.NewGates()
	seen := map[uint64]bool{emu.ReturnGate: true}
	for range emu.GateSize/16 - 1 {
		addr, err := gates.Add("g", nil)
		require.NoError(t, err)
		require.True(t, emu.InGates(addr))
		require.False(t, seen[addr])
		seen[addr] = true
	}
	_, err := gates.Add("one too many", nil)
	require.ErrorIs(t, err, errno.ENOSPC)

	name, ok := gates.Name(emu.ReturnGate)
	assert.True(t, ok)
	assert.Equal(t, "return_to_host", name)
	for _, addr := range []uint64{emu.GateBase + 4, emu.GateBase - 16, emu.GateBase + emu.GateSize, 0} {
		_, ok := gates.Name(addr)
		assert.False(t, ok, "%#x", addr)
	}
}
