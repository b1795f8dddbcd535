//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadData_DoesNotWaitForAFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
	_, err := readData(path, &interruptible{ctx: ctx}, maxData)
	require.ErrorIs(t, err, context.Canceled, "nobody opens it")

	ctx, cancel = context.WithCancel(t.Context())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
	_, err = readData(path, &interruptible{ctx: ctx}, maxData)
	assert.ErrorIs(t, err, context.Canceled, "nobody writes to it")
}
