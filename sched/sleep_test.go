package sched

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

// sleeper is a task that sleeps until flag, or a time.
func (m *machine) sleeper(name string, flag *atomic.Bool, until uint64, expired *bool) *Task {
	m.t.Helper()
	task, err := m.Spawn(name, func(t *Task) (err error) {
		*expired, err = t.Sleep(flag.Load, until)
		return err
	})
	require.NoError(m.t, err)
	return task
}

func TestSleep_EndsWhenItIsReady(t *testing.T) {
	m := boot(t, 2, nil)
	var flag atomic.Bool
	var expired bool
	task := m.sleeper("sleeper", &flag, 0, &expired)
	other, err := m.Spawn("other", func(*Task) error { flag.Store(true); return nil })
	require.NoError(t, err)
	require.NoError(t, other.Wait())
	require.NoError(t, task.Wait())
	assert.False(t, expired)
}

// What Go does outside the scheduler has to be told of.
func TestSleep_IsEndedFromOutside(t *testing.T) {
	m := boot(t, 1, nil)
	var flag atomic.Bool
	var expired bool
	task := m.sleeper("sleeper", &flag, 0, &expired)
	flag.Store(true)
	m.Woken()
	require.NoError(t, task.Wait())
}

func TestSleep_TimePassesInOrder(t *testing.T) {
	m := boot(t, 2, nil)
	var never atomic.Bool
	var order []uint64
	gathered, body := make(chan struct{}), func(until uint64) func(*Task) error {
		return func(t *Task) error {
			expired, err := t.Sleep(never.Load, until)
			assert.True(m.t, expired)
			order = append(order, until) // one at a time: the others sleep
			return err
		}
	}
	holder, err := m.Spawn("holder", func(t *Task) error { return t.User(func(context.Context) { <-gathered }) })
	require.NoError(t, err)
	var all []*Task
	for _, until := range []uint64{30, 10, 20} {
		task, err := m.Spawn("sleeper", body(until))
		require.NoError(t, err)
		all = append(all, task)
	}
	close(gathered)
	for _, task := range append(all, holder) {
		require.NoError(t, task.Wait())
	}
	assert.Equal(t, []uint64{10, 20, 30}, order)
}

func TestSleep_NothingEndsItIsADeadlock(t *testing.T) {
	m := boot(t, 2, &Options{Stall: 20 * time.Millisecond})
	var never atomic.Bool
	var expired bool
	task := m.sleeper("sleeper", &never, 0, &expired)
	require.ErrorIs(t, task.Wait(), ErrDeadlock)
}

func TestSleep_EndsWithTheScheduler(t *testing.T) {
	m := boot(t, 2, nil)
	var never atomic.Bool
	var expired bool
	task := m.sleeper("sleeper", &never, 0, &expired)
	require.NoError(t, m.Close())
	require.ErrorIs(t, task.Wait(), context.Canceled)
}

func TestSleep_WithPreemptionDisabledIsAnError(t *testing.T) {
	m := boot(t, 1, nil)
	var never atomic.Bool
	task, err := m.Spawn("atomic", func(t *Task) error {
		at := t.Addr() + uint64(m.k.Layout.Task.PreemptCount)
		assert.NoError(m.t, m.k.Mem.Store32(at, 1))
		_, err := t.Sleep(never.Load, 0)
		assert.NoError(m.t, m.k.Mem.Store32(at, 0))
		return err
	})
	require.NoError(t, err)
	require.ErrorIs(t, task.Wait(), ErrAtomic)
}

func TestInterrupt_RunsOnIdleAndBusyCPUs(t *testing.T) {
	m := boot(t, 3, &Options{Slice: 200})
	flag, err := m.k.Heap.Alloc("flag", 8)
	require.NoError(t, err)
	require.NoError(t, m.k.Mem.Store64(flag, 0))
	busy, err := m.SpawnOn(1, "busy", func(t *Task) error { _, err := t.Call(nil, m.fn["spin_until"], flag); return err })
	require.NoError(t, err)
	var ran [3]atomic.Int32
	for range 20 {
		require.NoError(t, m.Interrupt(nil, []int{0, 1, 2}, true, func(cpu emu.CPU) error {
			ran[cpu.ID()].Add(1)
			return nil
		}))
	}
	for id := range ran {
		assert.EqualValues(t, 20, ran[id].Load(), "CPU %d", id)
	}
	require.ErrorIs(t, m.Interrupt(nil, []int{3}, true, nil), errno.EINVAL)
	failed := errors.New("no")
	require.ErrorIs(t, m.Interrupt(nil, []int{2}, true, func(emu.CPU) error { return failed }), failed)
	require.NoError(t, m.k.Mem.Store64(flag, 1))
	require.NoError(t, busy.Wait())
}

// A gate on another CPU may wait for what the sleeper holds: its CPU is not idle, and does nothing.
func TestGracePeriodWait_IsGivenUpWhileAnotherCPUWaitsInGo(t *testing.T) {
	m := boot(t, 2, &Options{Stall: 20 * time.Millisecond})
	entered, given := make(chan struct{}), make(chan struct{})
	holder, err := m.Spawn("holder", func(*Task) error { close(entered); <-given; return nil })
	require.NoError(t, err)
	<-entered
	waiter, err := m.Spawn("waiter", func(t *Task) error { return m.Begin(Tasks).sleep(t) })
	require.NoError(t, err)
	var stall *StallError
	require.ErrorAs(t, waiter.Wait(), &stall)
	assert.Equal(t, "holder", stall.Readers[0].Task)
	close(given)
	require.NoError(t, holder.Wait())
}
