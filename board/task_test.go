package board

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestTask_IsAProcessOfTheKernel(t *testing.T) {
	m, ctx := traced(t), t.Context()
	require.NoError(t, m.Mount(ctx, "proc", "/proc"))
	const events = "/sys/kernel/tracing/events/sched/"
	require.NoError(t, m.WriteFile(ctx, events+"enable", os.O_TRUNC, "1"))
	first, err := m.FirstTask(ctx)
	require.NoError(t, err)
	parent, err := first.Fork(ctx, 4711)
	require.NoError(t, err)
	require.NoError(t, parent.SetName(ctx, "shell"))
	child, err := parent.Fork(ctx, 100_000)
	require.NoError(t, err)
	require.NoError(t, child.Enter(ctx))
	self, err := m.ReadFile(ctx, "/proc/self/stat")
	require.NoError(t, err)
	assert.Contains(t, string(self), "100000 (shell) R 4711 ")
	require.NoError(t, m.Sleep(ctx, 3*time.Second), "the others wake up meanwhile")
	require.NoError(t, child.Exit(ctx, 0))
	require.NoError(t, parent.Enter(ctx))
	require.NoError(t, parent.Exit(ctx, 0))
	require.ErrorIs(t, child.Enter(ctx), errno.EINVAL)
	require.ErrorIs(t, first.Exit(ctx, 0), errno.EPERM)
	require.NoError(t, m.WriteFile(ctx, events+"enable", os.O_TRUNC, "0"))
	trace, err := m.ReadFile(ctx, "/sys/kernel/tracing/trace")
	require.NoError(t, err)
	for _, want := range []string{
		"sched_process_fork: comm=shell pid=4711 child_comm=shell child_pid=100000",
		"sched_waking: comm=shell pid=100000 ",
		"sched_process_exit: comm=shell pid=100000 ",
		"sched_process_exit: comm=shell pid=4711 ",
	} {
		assert.Equal(t, 1, min(1, strings.Count(string(trace), want)), want)
	}
	_, err = m.ReadFile(ctx, "/proc/4711/stat")
	require.ErrorIs(t, err, errno.ENOENT, "nobody waits for it")
	_, err = m.Freeze()
	require.ErrorIs(t, err, errno.EBUSY)
}
