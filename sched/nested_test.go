package sched

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"

	. "callops/asm"
)

// selfReturn places a function that jumps to the gate with x30 there too, so that
// what serves the gate returns to it.
func (m *machine) selfReturn(gate uint64) uint64 {
	m.t.Helper()
	p, err := m.k.PlaceCode("self_return", kernel.CodeOptions{}, func(base uint64) (*Program, error) {
		b := NewBuilder()
		b.Func("self_return")
		b.Emit(MovImm(LR, gate)...)
		b.Emit(Br(LR))
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(m.t, err)
	return p.Base
}

// Code that goes from gate to gate executes no instruction. It is preempted and
// stopped all the same.
func TestGate_ThatReturnsToItself(t *testing.T) {
	t.Run("another task gets the CPU, and Close ends it", func(t *testing.T) {
		m := boot(t, 1, &Options{Slice: 100})
		gate, err := m.k.Gates.Add("again", func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil })
		require.NoError(t, err)
		fn := m.selfReturn(gate)
		loop := m.spawn("loop", func(t *Task) error { _, err := t.Call(nil, fn); return err })
		require.NoError(t, m.call("fib", 10).Wait())
		require.NoError(t, m.Close())
		require.ErrorIs(t, loop.Wait(), context.Canceled)
	})
	t.Run("the schedule gate", func(t *testing.T) {
		m := boot(t, 1, nil)
		fn := m.selfReturn(m.Gate())
		loop := m.spawn("loop", func(t *Task) error { _, err := t.Call(nil, fn); return err })
		require.NoError(t, m.call("fib", 10).Wait())
		require.NoError(t, m.Close())
		require.ErrorIs(t, loop.Wait(), context.Canceled)
	})
	t.Run("a call by other means has its budget", func(t *testing.T) {
		m := boot(t, 1, nil)
		again, err := m.k.Gates.Add("again", func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil })
		require.NoError(t, err)
		fn := m.selfReturn(again)
		gate, err := m.k.Gates.Add("call", func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
			_, err := m.k.Call(t.Context(), cpu.ID(), &emu.CallOptions{Budget: 1000}, fn)
			return 0, err
		})
		require.NoError(t, err)
		task := m.spawn("task", func(task *Task) error {
			_, err := task.Call(nil, gate)
			assert.ErrorIs(t, err, emu.ErrBudget)
			return nil
		})
		require.NoError(t, task.Wait())
	})
}

// How deep a task's calls are is its own affair, on whatever CPU it is.
func TestCall_NestsSoDeepAndNoDeeper(t *testing.T) {
	m := boot(t, 1, &Options{Slice: 3})
	var bodies []func(*Task) error
	for id := range uint64(4) {
		var task *Task
		depth, refused := 0, error(nil)
		var gate uint64
		gate, err := m.k.Gates.Add("nest", func(emu.CPU, [8]uint64) (uint64, error) {
			depth++
			if _, err := task.Call(nil, m.fn["fib"], 3); err != nil && depth < emu.MaxDepth {
				return 0, err
			}
			if _, err := task.Call(nil, gate); err != nil && refused == nil {
				refused = err
			}
			return id, nil
		})
		require.NoError(t, err)
		bodies = append(bodies, func(self *Task) error {
			task = self
			res, err := self.Call(nil, gate)
			assert.Equal(t, id, res.X0)
			assert.Equal(t, emu.MaxDepth, depth)
			assert.ErrorIs(t, refused, errno.ELOOP)
			assert.Equal(t, emu.CallStack{}, *self.cpu.Calls())
			return err
		})
	}
	for _, body := range bodies {
		m.spawn("nest", body)
	}
	require.NoError(t, m.Wait())
}

// A step's call takes from the same budget, once; a call that needs just what it
// has returns.
func TestCall_StepsShareTheBudget(t *testing.T) {
	m := boot(t, 1, nil)
	two := m.selfReturn(emu.ReturnGate) // movz and three movk at most, br
	m.spawn("steps", func(task *Task) error {
		res, err := task.Call(nil, two)
		require.NoError(t, err)
		n := res.Count
		opts := &emu.CallOptions{OnStep: func(cpu emu.CPU, _ *emu.Regs) {
			_, err := m.k.Call(t.Context(), cpu.ID(), nil, two)
			assert.NoError(t, err)
		}}
		opts.Budget = n + n*n
		if _, err := task.Call(opts, two); err != nil {
			return err
		}
		opts.Budget--
		opts.OnStep = func(cpu emu.CPU, _ *emu.Regs) { _, _ = m.k.Call(t.Context(), cpu.ID(), nil, two) }
		_, err = task.Call(opts, two)
		assert.NoError(t, err, "the last step's own call alone is short of one")
		opts.Budget = n + n*n - n - 1
		_, err = task.Call(opts, two)
		assert.ErrorIs(t, err, emu.ErrBudget)
		return nil
	})
	require.NoError(t, m.Wait())
}

// A task that comes to WARN() goes on, wherever it is.
func TestTask_WarnGoesOn(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), "../kernelimage/testdata/workload/bug.elf", nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, img.Close()) }()
	var mu sync.Mutex
	var warned []kernel.Bug
	k, err := kernel.Boot(img, interp.New, &kernel.BootOptions{CPUs: 2, Warn: func(b *kernel.Bug) {
		mu.Lock()
		defer mu.Unlock()
		warned = append(warned, *b)
	}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, k.Close()) }()
	s, err := New(t.Context(), k, &Options{Slice: 2})
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.Close()) }()
	warn, err := k.Func("warn_on")
	require.NoError(t, err)
	const tasks, calls = 3, 20
	for range tasks {
		_, err := s.Spawn("warns", func(task *Task) error {
			for range calls {
				res, err := task.Call(nil, warn, ^uint64(4))
				if err != nil {
					return err
				}
				assert.EqualValues(t, -4, int64(res.X0))
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.NoError(t, s.Wait())
	mu.Lock()
	defer mu.Unlock()
	pids := map[uint32]int{}
	for _, b := range warned {
		assert.Equal(t, 11, b.Line)
		pids[b.Pid]++
	}
	assert.Len(t, pids, tasks)
	assert.Len(t, warned, tasks*calls)
}
