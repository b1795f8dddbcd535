package board

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const pollIn, pollOut = 1, 4 // POLLIN, POLLOUT

func TestFile_PollIsTheKernels(t *testing.T) {
	m, ctx := traced(t), t.Context()
	pipe, err := m.OpenFile(ctx, tracing+"/trace_pipe", os.O_RDONLY|NonBlock, 0)
	require.NoError(t, err)
	ready, err := pipe.Poll(pollIn)
	require.NoError(t, err)
	assert.Zero(t, ready)
	require.NoError(t, m.WriteFile(ctx, tracing+"/trace_marker", 0, "a line"))
	ready, err = pipe.Poll(pollIn | pollOut)
	require.NoError(t, err)
	assert.EqualValues(t, pollIn, ready&(pollIn|pollOut))
	require.NoError(t, pipe.Close())
	_, err = pipe.Poll(pollIn)
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestFile_ReadSpliceGivesWholeSubBuffers(t *testing.T) {
	m, ctx := traced(t), t.Context()
	raw, err := m.OpenFile(ctx, tracing+"/per_cpu/cpu0/trace_pipe_raw", os.O_RDONLY|NonBlock, 0)
	require.NoError(t, err)
	require.NoError(t, m.WriteFile(ctx, tracing+"/trace_marker", 0, "a line"))
	b := make([]byte, 3*4096)
	_, err = raw.ReadSplice(b)
	require.ErrorIs(t, err, syscall.EAGAIN, "no sub-buffer is full")
	for range 200 {
		require.NoError(t, m.WriteFile(ctx, tracing+"/trace_marker", 0, "a line of some more bytes than the one before"))
	}
	n, err := raw.ReadSplice(b)
	require.NoError(t, err)
	assert.Positive(t, n)
	assert.Zero(t, n%4096)
	assert.Contains(t, string(b[:n]), "a line of some more")
	require.NoError(t, raw.Close())
	_, err = raw.ReadSplice(b)
	require.ErrorIs(t, err, os.ErrClosed)
}
