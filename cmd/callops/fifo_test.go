//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
)

func TestReadData_DoesNotWaitForAFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
	_, err := readData(path, &interruptible{ctx: ctx}, maxData)
	require.ErrorIs(t, err, context.Canceled, "it has no writer")

	ctx, cancel = context.WithCancel(t.Context())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
	_, err = readData(path, &interruptible{ctx: ctx}, maxData)
	assert.ErrorIs(t, err, context.Canceled, "nothing writes to it")
}

func TestCall_DumpDoesNotWaitForAFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
	var out, errs bytes.Buffer
	root := newRoot(strings.NewReader(""), &out, &errs)
	root.SetArgs([]string{"call", "--dump", "1=" + path, "memset", "buf:16", "65", "8"})
	cmd, err := root.ExecuteContextC(ctx)
	require.ErrorIs(t, err, context.Canceled, "nobody reads it")
	assert.Equal(t, exitFailed, reportError(&errs, cmd, err))
	assert.Contains(t, errs.String(), "callops: interrupted: --dump "+path)
	assert.Contains(t, out.String(), "memset(buf:16, 65, 8) = ", "what was done is shown")
}

func TestTrace_OutputDoesNotWaitForAFIFO(t *testing.T) {
	for _, name := range []string{"trace", "check"} {
		path := filepath.Join(t.TempDir(), "fifo.json")
		require.NoError(t, syscall.Mkfifo(path, 0o600))
		args := map[string][]string{
			"trace": {"trace", "--output", path, "fib", "18"}, // more than a pipe holds
			"check": {"check", "--output", path, "--scenario", "disable", "--mutation", "no-tasks-wait"},
		}[name]
		interrupted := func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
			root := newRoot(strings.NewReader(""), t.Output(), t.Output())
			root.SetArgs(args)
			return root.ExecuteContext(ctx)
		}
		require.ErrorIs(t, interrupted(), context.Canceled, "nobody opens it")
	}
}

// A reader that has opened it, and does not read.
func TestOutputFile_WritesToAFIFOEndWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer reader.Close()
	ctx, cancel := context.WithCancel(t.Context())
	f, err := createOutput(ctx, path)
	require.NoError(t, err)
	cancel()
	_, err = f.Write(make([]byte, 4<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorIs(t, f.finish(err), os.ErrDeadlineExceeded)
}

func TestSites_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer k.Close()
	r, err := ftrace.New(k, nil)
	require.NoError(t, err)
	list, err := siteInfos(ctx, k, r, nil)
	require.NoError(t, err)
	require.NotEmpty(t, list)
	cancel()
	_, err = siteInfos(ctx, k, r, nil)
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, list[0].Function)
}
