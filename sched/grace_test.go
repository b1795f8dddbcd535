package sched

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

func TestGracePeriods_EndWhereNothingRuns(t *testing.T) {
	m := boot(t, 2, nil)
	for range 3 {
		require.NoError(t, m.SynchronizeRCUTasksRude())
		require.NoError(t, m.SynchronizeRCUTasks())
		require.NoError(t, m.SynchronizeRCU())
	}
}

// Rude drives CPUs through their schedulers, so it ends while tasks go on; Tasks
// waits for them, the preempted ones too.
func TestTasks_WaitsForPreemptedTasks(t *testing.T) {
	for _, cpus := range []int{1, 2} {
		m := boot(t, cpus, &Options{Slice: 100})
		var flags []uint64
		for range 3 {
			flags = append(flags, m.word())
			m.call("spin_until", flags[len(flags)-1])
		}
		until(func() bool { // all have begun
			m.mu.Lock()
			defer m.mu.Unlock()
			n := 0
			for t := range m.tasks {
				if t.reader().Kernel && !t.idle {
					n++
				}
			}
			return n == 3
		})
		freed := false
		m.CallRCUTasks(func() { freed = true })
		for _, flag := range flags {
			for range 5 {
				require.NoError(t, m.SynchronizeRCUTasksRude())
				require.NoError(t, m.SynchronizeRCU())
			}
			assert.False(t, freed)
			m.set(flag)
		}
		require.NoError(t, m.SynchronizeRCUTasks())
		require.NoError(t, m.Barrier())
		assert.True(t, freed)
		require.NoError(t, m.Wait())
	}
}

func TestTasks_DoesNotWaitForUserModeOrVoluntarySwitches(t *testing.T) {
	m := boot(t, 1, nil)
	back := make(chan struct{})
	m.spawn("user", func(t *Task) error { return t.User(func(context.Context) { <-back }) })
	stop := m.word()
	m.spawn("polite", func(t *Task) error {
		for m.load(stop) == 0 {
			if err := t.Schedule(); err != nil {
				return err
			}
		}
		return nil
	})
	for range 5 {
		require.NoError(t, m.SynchronizeRCUTasks())
	}
	close(back)
	m.set(stop)
	require.NoError(t, m.Wait())
}

func TestRCUAndRude_WaitForPreemptionDisabled(t *testing.T) {
	for _, wait := range []func(m *machine) error{
		func(m *machine) error { return m.SynchronizeRCU() },
		func(m *machine) error { return m.SynchronizeRCUTasksRude() },
	} {
		m := boot(t, 2, &Options{Slice: 100})
		flag, entered := m.word(), m.word()
		m.call("atomic_until", flag, entered)
		until(func() bool { return m.load(entered) != 0 })
		freed := false
		m.CallRCU(func() { freed = true })
		ended := make(chan error)
		go func() { ended <- wait(m) }()
		// Another task comes and goes meanwhile.
		require.NoError(t, m.call("fib", 10).Wait())
		assert.Empty(t, ended)
		m.set(flag)
		require.NoError(t, <-ended)
		require.NoError(t, m.Barrier())
		assert.True(t, freed)
		require.NoError(t, m.Wait())
	}
}

func TestStall_NamesTheReaders(t *testing.T) {
	m := boot(t, 1, &Options{Slice: 1000, Stall: 50 * time.Millisecond})
	m.call("spin_forever")
	m.call("spin_until", m.word())
	until(func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.queue) > 0 && m.queue[0].state == preempted
	})
	err := m.SynchronizeRCUTasks()
	require.ErrorIs(t, err, errno.EDEADLK)
	var stall *StallError
	require.ErrorAs(t, err, &stall)
	assert.Equal(t, Tasks, stall.Kind)
	names := map[string]Stalled{}
	for _, r := range stall.Readers {
		names[r.Task] = r
	}
	require.Contains(t, names, "spin_forever")
	assert.Contains(t, names["spin_forever"].Where, "spin_forever+")
	assert.Contains(t, err.Error(), "synchronize_rcu_tasks has not ended after 50ms: spin_forever")
	assert.Empty(t, m.periods, "a stall leaves no grace period")
}

func TestStall_WaitOfATaskForItselfIsRefusedAtOnce(t *testing.T) {
	m := boot(t, 2, &Options{Stall: time.Hour})
	gate, err := m.k.Gates.Add("tracer", func(emu.CPU, [8]uint64) (uint64, error) {
		return 0, m.SynchronizeRCUTasks()
	})
	require.NoError(t, err)
	m.spawn("in its body", func(*Task) error {
		assert.ErrorIs(m.t, m.SynchronizeRCUTasksRude(), errno.EDEADLK)
		return nil
	})
	m.spawn("in a gate", func(t *Task) error {
		_, err := t.Call(nil, gate)
		assert.ErrorIs(m.t, err, errno.EDEADLK)
		assert.ErrorContains(m.t, err, "synchronize_rcu_tasks is waited for by itself: in a gate on CPU")
		return nil
	})
	require.NoError(t, m.Wait())
}

// A wait does not run callbacks before their time, nor twice.
func TestCallbacks_RunOnceInOrder(t *testing.T) {
	m := boot(t, 2, &Options{Slice: 50})
	stop := m.word()
	m.spawn("busy", func(t *Task) error {
		for m.load(stop) == 0 {
			if _, err := t.Call(nil, m.fn["fib"], 5); err != nil {
				return err
			}
			if err := t.Schedule(); err != nil {
				return err
			}
		}
		return nil
	})
	var order []int
	for i := range 100 {
		m.CallRCU(func() { order = append(order, i) })
		if i%10 == 0 {
			require.NoError(t, m.SynchronizeRCUTasks())
		}
	}
	require.NoError(t, m.Barrier())
	require.Len(t, order, 100)
	assert.IsIncreasing(t, order)
	m.set(stop)
	require.NoError(t, m.Wait())
}
