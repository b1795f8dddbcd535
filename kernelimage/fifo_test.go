//go:build unix

package kernelimage

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestOpen_DoesNotWaitForAFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := Open(t.Context(), path, nil)
	assert.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "is not a regular file")
}
