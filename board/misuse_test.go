package board

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
)

func TestBoot_RefusesACommandLineThatTheKernelCuts(t *testing.T) {
	img := open(t, kernels.Linux612)
	for args, want := range map[string]error{
		"quiet\x00loglevel=7":                errno.EINVAL,
		strings.Repeat("a", commandLineSize): errno.E2BIG,
		strings.Repeat("a", 130<<20):         errno.E2BIG,
	} {
		_, err := Boot(t.Context(), img, &Options{Append: args, Budget: 1})
		require.ErrorIs(t, err, want)
	}
}

func TestFile_RefusesNamesThatTheKernelCuts(t *testing.T) {
	m, ctx := booted(t), t.Context()
	require.NoError(t, m.WriteFile(ctx, "/tmp/file", 0, "1"))
	const name = "/tmp/file\x00.other"
	_, err := m.ReadFile(ctx, name)
	require.ErrorIs(t, err, errno.EINVAL)
	require.ErrorIs(t, m.Remove(ctx, name), errno.EINVAL)
	require.ErrorIs(t, m.Mkdir(ctx, "/tmp/folder\x00", 0o700), errno.EINVAL)
	require.ErrorIs(t, m.Chmod(ctx, name, 0o600), errno.EINVAL)
	require.ErrorIs(t, m.Lchown(ctx, name, 0, 0), errno.EINVAL)
	require.ErrorIs(t, m.Mount(ctx, "proc\x00", "/proc"), errno.EINVAL)
	require.ErrorIs(t, m.UnloadModule(ctx, "a\x00"), errno.EINVAL)
	require.ErrorIs(t, m.LoadModule(ctx, []byte("\x7fELF"), "a\x00b"), errno.EINVAL)
	_, err = m.ReadFile(ctx, "/"+strings.Repeat("a", maxPath))
	require.ErrorIs(t, err, errno.ENAMETOOLONG)
	names, err := m.ReadDir(ctx, "/tmp")
	require.NoError(t, err)
	assert.Equal(t, []string{"file"}, names)
}

// The kernel gives the number of a closed file to the next one that is opened.
func TestFile_DoesNothingAfterItsClose(t *testing.T) {
	m, ctx := booted(t), t.Context()
	closed, err := m.OpenFile(ctx, "/tmp/closed", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	other, err := m.OpenFile(ctx, "/tmp/other", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = closed.Write([]byte("not here"))
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = closed.Read(make([]byte, 1))
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, closed.Close(), fs.ErrClosed)
	_, err = other.Write([]byte("1"))
	require.NoError(t, err)
	require.NoError(t, other.Close())
	b, err := m.ReadFile(ctx, "/tmp/other")
	require.NoError(t, err)
	assert.Equal(t, "1", string(b))
}

func TestMachine_DoesNothingAfterItsClose(t *testing.T) {
	m, err := frozen(t).Start(nil)
	require.NoError(t, err)
	ctx := t.Context()
	f, err := m.OpenFile(ctx, "/tmp/file", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	for name, use := range map[string]func() error{
		"write":  func() error { _, err := f.Write([]byte("1")); return err },
		"read":   func() error { _, err := f.Read(make([]byte, 1)); return err },
		"close":  func() error { return f.Close() },
		"open":   func() error { _, err := m.ReadFile(ctx, "/tmp/file"); return err },
		"mount":  func() error { return m.Mount(ctx, "proc", "/proc") },
		"call":   func() error { _, err := m.Call(ctx, "task_work_run"); return err },
		"module": func() error { return m.LoadModule(ctx, []byte("\x7fELF"), "") },
		"memory": func() error { return m.ReadMemory(m.img.Linux().Base, make([]byte, 8)) },
	} {
		require.ErrorIs(t, use(), fs.ErrClosed, name)
	}
	_, err = m.Freeze()
	require.ErrorIs(t, err, errno.EBUSY)
}

func TestCall_DoesNothingInAContextThatHasEnded(t *testing.T) {
	m := booted(t)
	ctx, cancel := context.WithCancel(t.Context())
	f, err := m.OpenFile(ctx, "/tmp/file", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, f.Close(), context.Canceled)
	_, err = m.ReadFile(t.Context(), "/tmp/file")
	require.NoError(t, err)
}
