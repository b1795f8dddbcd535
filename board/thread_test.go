package board

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestThread_RunsWhileCallsDo(t *testing.T) {
	m, ctx := booted(t), t.Context()
	th, err := m.Thread(ctx, "worker", nil, GuestCall{Func: "int_sqrt", Args: []uint64{144}}, GuestCall{Func: "gcd", Args: []uint64{84, 36}})
	require.NoError(t, err)
	before, err := th.Rounds()
	require.NoError(t, err)
	require.NoError(t, m.Sleep(ctx, time.Millisecond))
	after, err := th.Rounds()
	require.NoError(t, err)
	assert.Greater(t, after, before+100)
	results, err := th.Results()
	require.NoError(t, err)
	assert.Equal(t, []uint64{12, 12}, results)
	require.NoError(t, th.Stop(ctx))
	require.ErrorIs(t, th.Stop(ctx), errno.EINVAL)
}

func TestThread_MakesItsRoundsAndWaits(t *testing.T) {
	m, ctx := booted(t), t.Context()
	th, err := m.Thread(ctx, "worker", &ThreadOptions{Rounds: 10}, GuestCall{Func: "msleep", Args: []uint64{5}})
	require.NoError(t, err)
	require.NoError(t, th.Wait(ctx))
	require.NoError(t, m.Sleep(ctx, 100*time.Millisecond))
	n, err := th.Rounds()
	require.NoError(t, err)
	assert.EqualValues(t, 10, n)
	require.NoError(t, th.Stop(ctx))
}

func TestThread_GoesOnInAFork(t *testing.T) {
	m, ctx := booted(t), t.Context()
	th, err := m.Thread(ctx, "worker", &ThreadOptions{Asleep: true}, GuestCall{Func: "int_sqrt", Args: []uint64{144}})
	require.NoError(t, err)
	require.NoError(t, m.Sleep(ctx, time.Millisecond))
	n, err := th.Rounds()
	require.NoError(t, err)
	assert.Zero(t, n)
	z, err := m.Freeze()
	require.NoError(t, err)
	defer z.Close()
	fork, err := z.Start(nil)
	require.NoError(t, err)
	defer fork.Close()
	in := th.In(fork)
	require.NoError(t, in.Wake(ctx))
	require.NoError(t, fork.Sleep(ctx, time.Millisecond))
	n, err = in.Rounds()
	require.NoError(t, err)
	assert.NotZero(t, n)
	require.NoError(t, in.Stop(ctx))
	require.NoError(t, th.Stop(ctx), "one that was never awake")
	_, err = fork.CallAt(ctx, th.code)
	require.Error(t, err, "its code has gone")
}

// testThreads has a thread on every CPU.
func testThreads(t *testing.T, m *Machine) {
	ctx := t.Context()
	var threads []*Thread
	for cpu := range m.cpus {
		th, err := m.Thread(ctx, fmt.Sprintf("worker%d", cpu), &ThreadOptions{CPU: cpu}, GuestCall{Func: "schedule_timeout_uninterruptible", Args: []uint64{1}})
		require.NoError(t, err)
		threads = append(threads, th)
	}
	require.NoError(t, m.Sleep(ctx, 100*time.Millisecond))
	for _, th := range threads {
		n, err := th.Rounds()
		require.NoError(t, err)
		assert.Greater(t, n, uint64(5))
		require.NoError(t, th.Stop(ctx))
	}
}

func TestThread_RefusesWhatCannotRun(t *testing.T) {
	m, ctx := booted(t), t.Context()
	nop := GuestCall{Func: "schedule"}
	for what, c := range map[string]struct {
		name  string
		opts  ThreadOptions
		calls []GuestCall
		want  error
	}{
		"no_name":       {"", ThreadOptions{}, []GuestCall{nop}, errno.EINVAL},
		"long_name":     {"0123456789abcdef", ThreadOptions{}, []GuestCall{nop}, errno.EINVAL},
		"no_such_cpu":   {"t", ThreadOptions{CPU: 1}, []GuestCall{nop}, errno.EINVAL},
		"no_calls":      {"t", ThreadOptions{}, nil, errno.EINVAL},
		"unknown":       {"t", ThreadOptions{}, []GuestCall{{Func: "no_such_function"}}, errno.ENOENT},
		"nine_argument": {"t", ThreadOptions{}, []GuestCall{{Func: "schedule", Args: make([]uint64, 9)}}, errno.E2BIG},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := m.Thread(ctx, c.name, &c.opts, c.calls...)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestThread_IsNoMoreAfterItsStop(t *testing.T) {
	m, ctx := booted(t), t.Context()
	th, err := m.Thread(ctx, "short", nil, GuestCall{Func: "schedule"})
	require.NoError(t, err)
	require.NoError(t, th.Stop(ctx))
	require.ErrorIs(t, th.Wake(ctx), errno.EINVAL)
	require.ErrorIs(t, th.Stop(ctx), errno.EINVAL)
	_, err = th.Rounds()
	require.ErrorIs(t, err, errno.EINVAL)
	_, err = th.Results()
	require.ErrorIs(t, err, errno.EINVAL)
}
