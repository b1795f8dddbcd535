package sched

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"

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
	const tasks = 4
	for id := range uint64(tasks) {
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
		m.spawn("nest", func(self *Task) error {
			task = self
			res, err := self.Call(nil, gate)
			assert.Equal(t, id, res.X0)
			assert.Equal(t, emu.MaxDepth, depth)
			assert.ErrorIs(t, refused, errno.ELOOP)
			assert.Equal(t, emu.CallStack{}, *self.cpu.Calls())
			return err
		})
	}
	require.NoError(t, m.Wait())
}
