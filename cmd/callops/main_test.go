package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/machine"
)

func TestRun_ReportsResultThatCannotBeWritten(t *testing.T) {
	for _, args := range [][]string{{"image"}, {"sites"}, {"help"}, {"sites", "--filter", "*", "--enabled"}} {
		var errs strings.Builder
		code := run(args, nil, fullDisk{}, &errs)
		assert.Equal(t, exitFailed, code, args)
		assert.Equal(t, "callops: disk full\n", errs.String(), args)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestInterruptible_LeavesAReaderWithoutInputBehind(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
	_, err := io.ReadAll(&interruptible{ctx, in})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestInterruptible_ReadsEverything(t *testing.T) {
	text := strings.Repeat("0123456789", 50_000)
	got, err := io.ReadAll(&interruptible{t.Context(), strings.NewReader(text)})
	assert.NoError(t, err)
	assert.Equal(t, text, string(got))
}

func TestFormat_IsTheSameWordEverywhere(t *testing.T) {
	with := 0
	for _, cmd := range newRoot(nil, io.Discard, io.Discard).Commands() {
		f := cmd.Flags().Lookup("format")
		if f == nil {
			continue
		}
		with++
		assert.Equal(t, formatText, f.DefValue, cmd.Name())
		require.NoError(t, f.Value.Set(formatTable), cmd.Name())
		assert.Equal(t, formatText, f.Value.String(), cmd.Name())
		require.NoError(t, f.Value.Set(formatJSON), cmd.Name())
	}
	assert.Equal(t, 6, with)
}

func TestSetFilters_HeedCtrlC(t *testing.T) {
	m, err := machine.New(t.Context(), &machine.Config{Ftrace: machine.Options(nil)})
	require.NoError(t, err)
	defer m.Close()
	o, err := m.Ftrace.NewOps("o", m.Ftrace.Code().OpsFuncNop, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	assert.ErrorIs(t, setFilters(cmd, m, o, []string{"gcd"}, nil), context.Canceled)
	assert.ErrorIs(t, setFilters(cmd, m, o, nil, []string{"gcd"}), context.Canceled)
}
