package board

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestFilterIndex_IsTheKernels(t *testing.T) {
	m, ctx := traced(t), t.Context()
	for _, name := range []string{"msleep", "vfs_read", "schedule", "kfree", "do_one_initcall"} {
		i, err := m.FilterIndex(name)
		require.NoError(t, err)
		require.NoError(t, m.WriteFile(ctx, tracing+"/set_ftrace_filter", os.O_TRUNC, fmt.Sprintln(i)))
		b, err := m.ReadFile(ctx, tracing+"/set_ftrace_filter")
		require.NoError(t, err)
		assert.Equal(t, name+"\n", string(b))
	}
	for _, name := range []string{"no_such_function", "start_kernel", "linux_banner"} {
		_, err := m.FilterIndex(name)
		require.ErrorIs(t, err, errno.ENOENT, name)
	}
	i, err := m.FilterIndex("msleep")
	require.NoError(t, err)
	b, err := m.ReadFile(ctx, tracing+"/available_filter_functions")
	require.NoError(t, err)
	assert.Equal(t, i-1, slices.Index(strings.Split(string(b), "\n"), "msleep"))
}
