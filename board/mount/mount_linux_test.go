package mount

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board"
	"callops/internal/kernels"
	"callops/kernelimage"
)

const tracing = "/sys/kernel/tracing"

// cannot skips a test for what the host lacks, and fails it in CI.
func cannot(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// booted is Linux 6.12 with tracefs, once for all tests.
var booted struct {
	once   sync.Once
	frozen *board.Frozen
	err    error
}

func boot(ctx context.Context, path string) (*board.Frozen, error) {
	img, err := kernelimage.Open(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	m, err := board.Boot(ctx, img, nil)
	if err != nil {
		return nil, err
	}
	for _, fs := range [][2]string{{"sysfs", "/sys"}, {"tracefs", tracing}} {
		if err := m.Mount(ctx, fs[0], fs[1]); err != nil {
			return nil, err
		}
	}
	return m.Freeze()
}

// needs skips a test where it can't mount.
func needs(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		cannot(t, "mounting takes /dev/fuse and root")
	}
}

// mounted is the tracefs of a Linux 6.12 on the host.
func mounted(t *testing.T) (dir string, m *board.Machine) {
	t.Helper()
	needs(t)
	path := kernels.Path(t, kernels.Linux612)
	booted.once.Do(func() { booted.frozen, booted.err = boot(context.Background(), path) })
	require.NoError(t, booted.err)
	m, err := booted.frozen.Start(nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	dir = t.TempDir()
	s, err := Mount(m, tracing, dir, nil)
	if err != nil {
		cannot(t, "mounting is not permitted here: "+err.Error())
	}
	t.Cleanup(func() { assert.NoError(t, s.Unmount()) })
	return dir, m
}

func TestMount_IsTheGuestsTracefs(t *testing.T) {
	dir, _ := mounted(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(file(name))
		require.NoError(t, err)
		return string(b)
	}
	write := func(name, text string, flag int) error {
		f, err := os.OpenFile(file(name), os.O_WRONLY|flag, 0)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, f.Close())
		return err
	}
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Greater(t, len(names), 40)
	assert.Equal(t, "nop\n", read("current_tracer"))
	info, err := os.Stat(file("current_tracer"))
	require.NoError(t, err)
	assert.Zero(t, info.Size())

	require.NoError(t, write("set_ftrace_filter", "sha256\n", os.O_TRUNC))
	require.NoError(t, write("set_ftrace_filter", "sha256_update\n", os.O_APPEND))
	assert.Equal(t, "sha256_update\nsha256\n", read("set_ftrace_filter"))
	require.NoError(t, write("set_ftrace_filter", "msleep\n", os.O_TRUNC))
	assert.Equal(t, "msleep\n", read("set_ftrace_filter"), "O_TRUNC forgets the filter")
	require.ErrorIs(t, write("set_ftrace_filter", "nosuchfunction\n", os.O_APPEND), syscall.EINVAL)
	require.NoError(t, write("current_tracer", "function\n", os.O_TRUNC))
	assert.Contains(t, read("enabled_functions"), "msleep (1)")

	require.NoError(t, os.Mkdir(file("instances/a"), 0o755))
	assert.Equal(t, "nop\n", read("instances/a/current_tracer"))
	held, err := os.Open(file("instances/a/trace"))
	require.NoError(t, err)
	require.ErrorIs(t, os.Remove(file("instances/a")), syscall.EBUSY)
	require.NoError(t, held.Close())
	assert.Eventually(t, func() bool { return os.Remove(file("instances/a")) == nil }, 5*time.Second, 10*time.Millisecond)
	_, err = os.Stat(file("instances/a"))
	require.ErrorIs(t, err, os.ErrNotExist)

	// A read that waits lets others run.
	pipe, err := os.Open(file("trace_pipe"))
	require.NoError(t, err)
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 4096)
		n, _ := pipe.Read(b)
		got <- string(b[:n])
	}()
	require.NoError(t, write("set_ftrace_filter", "vfs_open\n", os.O_TRUNC))
	read("current_tracer")
	select {
	case line := <-got:
		assert.Contains(t, line, "vfs_open <-")
	case <-time.After(20 * time.Second):
		t.Error("trace_pipe has not returned")
	}
	require.NoError(t, pipe.Close())
}

func TestMount_SetsTheGuestsOwners(t *testing.T) {
	dir, _ := mounted(t)
	const event = "events/sched/sched_switch"
	for _, name := range []string{"trace", event, event + "/enable"} {
		// Each by itself: what one leaves as it is stays.
		require.NoError(t, os.Chown(filepath.Join(dir, name), 1000, -1))
		require.NoError(t, os.Chown(filepath.Join(dir, name), -1, 100))
		require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o604))
		var st syscall.Stat_t
		require.NoError(t, syscall.Lstat(filepath.Join(dir, name), &st))
		assert.Equal(t, []uint32{1000, 100, 0o604}, []uint32{st.Uid, st.Gid, st.Mode &^ syscall.S_IFMT}, name)
	}
}

// The host forgets all files of a folder that is removed in a few messages, as long as go-fuse takes.
func TestMount_ForgetsAFolderOfThousands(t *testing.T) {
	dir, _ := mounted(t)
	instance := filepath.Join(dir, "instances", "a")
	require.NoError(t, os.Mkdir(instance, 0o755))
	files := 0
	require.NoError(t, filepath.WalkDir(instance, func(path string, _ fs.DirEntry, err error) error {
		files++
		return err
	}))
	assert.Greater(t, files, 8000, "a message has 4,100")
	assert.Eventually(t, func() bool { return os.Remove(instance) == nil }, 5*time.Second, 10*time.Millisecond)
	_, err := os.ReadDir(dir)
	require.NoError(t, err)
}

func TestUnmount_WhileSomethingIsOpen(t *testing.T) {
	m := &tree{open: make(map[string][]*handle), closed: true}
	h := &handle{n: &node{t: m}}
	_, errno := h.Read(t.Context(), make([]byte, 1), 0)
	assert.Equal(t, syscall.ENODEV, errno)
	assert.Equal(t, syscall.ENODEV, h.Release(t.Context()))
}
