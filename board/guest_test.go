package board

import (
	"context"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

const tracing = "/sys/kernel/tracing"

var (
	bootOnce   sync.Once
	bootFrozen *Frozen
	bootErr    error
	bootLog    []string
)

// frozen is Linux 6.12 after its boot, once for all tests.
func frozen(t testing.TB) *Frozen {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	file := kernels.Path(t, kernels.Linux612)
	bootOnce.Do(func() {
		var img *kernelimage.Image
		if img, bootErr = kernelimage.Open(context.Background(), file, nil); bootErr != nil {
			return
		}
		var m *Machine
		m, bootErr = Boot(context.Background(), img, &Options{Console: func(line string) { bootLog = append(bootLog, line) }})
		if bootErr == nil {
			bootFrozen, bootErr = m.Freeze()
		}
	})
	require.NoError(t, bootErr)
	return bootFrozen
}

// booted is a machine of the test's own.
func booted(t testing.TB) *Machine {
	t.Helper()
	m, err := frozen(t).Start(nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return m
}

// traced is one with tracefs mounted.
func traced(t testing.TB) *Machine {
	t.Helper()
	m := booted(t)
	require.NoError(t, m.Mount(t.Context(), "sysfs", "/sys"))
	require.NoError(t, m.Mount(t.Context(), "tracefs", tracing))
	return m
}

func TestBoot_PrintsWhatTheKernelPrints(t *testing.T) {
	frozen(t)
	log := strings.Join(bootLog, "\n")
	assert.Contains(t, log, "[    0.000000] Booting Linux on physical CPU 0x0000000000")
	assert.Regexp(t, `\[    0\.000000\] ftrace: allocating \d+ entries in \d+ pages`, log)
	assert.Contains(t, log, "arch_timer: cp15 timer(s) running at 1000.00MHz (virt).")
	assert.Contains(t, log, "Checked W+X mappings: passed, no W+X pages found")
	assert.Contains(t, bootLog[len(bootLog)-1], "Run /init as init process")
	assert.NotContains(t, log, "WARNING:")
	assert.NotContains(t, log, "Unable to handle")
}

// The reference was typed into the shell of a Linux that QEMU ran.
func TestTracefs_AsUnderQEMU(t *testing.T) {
	s := &shell{traced(t), t.Context(), tracing}
	addresses := numbering{}
	for _, want := range readScript(t, "testdata/tracefs-6.12.txt") {
		out, status := s.run(want.command)
		assert.Equal(t, want.output, addresses.replace(out), want.command)
		assert.Equal(t, want.status, status, want.command)
	}
}

func TestTracefs_TracesACall(t *testing.T) {
	m, ctx := traced(t), t.Context()
	require.NoError(t, m.WriteFile(ctx, tracing+"/set_ftrace_filter", os.O_TRUNC, "sha256*\n"))
	require.NoError(t, m.WriteFile(ctx, tracing+"/current_tracer", os.O_TRUNC, "function\n"))
	data, err := m.Call(ctx, "vzalloc_noprof", 4096)
	require.NoError(t, err)
	require.NoError(t, m.WriteMemory(data, []byte("abc")))
	_, err = m.Call(ctx, "sha256", data, 3, data+64)
	require.NoError(t, err)
	digest := make([]byte, 32)
	require.NoError(t, m.ReadMemory(data+64, digest))
	assert.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex.EncodeToString(digest))
	trace, err := m.ReadFile(ctx, tracing+"/trace")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)-1 +\[000\] .* sha256 <-kernel_execve$`, string(trace))
	assert.Contains(t, string(trace), "entries-in-buffer/entries-written: 2/2")
}

func TestTracefs_FunctionGraph(t *testing.T) {
	m, ctx := traced(t), t.Context()
	require.NoError(t, m.WriteFile(ctx, tracing+"/set_graph_function", os.O_TRUNC, "vfs_read\n"))
	require.NoError(t, m.WriteFile(ctx, tracing+"/current_tracer", os.O_TRUNC, "function_graph\n"))
	_, err := m.ReadFile(ctx, tracing+"/tracing_on")
	require.NoError(t, err)
	require.NoError(t, m.WriteFile(ctx, tracing+"/current_tracer", os.O_APPEND, "nop\n"))
	_, err = m.ReadFile(ctx, tracing+"/enabled_functions")
	require.NoError(t, err)
}

func TestFile_IsTheKernels(t *testing.T) {
	m, ctx := booted(t), t.Context()
	f, err := m.OpenFile(ctx, "/tmp/file", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	require.NoError(t, err)
	long := strings.Repeat("0123456789abcdef", maxTransfer/16+1000)
	n, err := io.WriteString(f, long)
	require.NoError(t, err)
	assert.Equal(t, len(long), n)
	at, err := f.Seek(16, io.SeekStart)
	require.NoError(t, err)
	assert.EqualValues(t, 16, at)
	rest, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, long[16:], string(rest))
	require.NoError(t, f.Truncate(5))
	require.NoError(t, f.Close())
	b, err := m.ReadFile(ctx, "/tmp/file")
	require.NoError(t, err)
	assert.Equal(t, "01234", string(b))
	require.NoError(t, m.WriteFile(ctx, "/tmp/file", os.O_APPEND, "5"))
	b, err = m.ReadFile(ctx, "/tmp/file")
	require.NoError(t, err)
	assert.Equal(t, "012345", string(b))

	require.NoError(t, m.Mkdir(ctx, "/tmp/folder", 0o755))
	names, err := m.ReadDir(ctx, "/tmp")
	require.NoError(t, err)
	assert.Equal(t, []string{"file", "folder"}, names)
	require.NoError(t, m.Remove(ctx, "/tmp/folder"))
	require.NoError(t, m.Remove(ctx, "/tmp/file"))
	names, err = m.ReadDir(ctx, "/tmp")
	require.NoError(t, err)
	assert.Empty(t, names)
}

func TestFile_ErrorsAreTheKernels(t *testing.T) {
	m, ctx := booted(t), t.Context()
	_, err := m.ReadFile(ctx, "/tmp/missing")
	require.ErrorIs(t, err, errno.ENOENT)
	require.ErrorIs(t, err, fs.ErrNotExist)
	var pathErr *fs.PathError
	require.ErrorAs(t, err, &pathErr)
	assert.Equal(t, "/tmp/missing", pathErr.Path)
	require.ErrorIs(t, m.Mkdir(ctx, "/tmp", 0o755), errno.EEXIST)
	require.ErrorIs(t, m.Mount(ctx, "nosuchfs", "/tmp"), errno.ENODEV)
	_, err = m.OpenFile(ctx, "/tmp", os.O_WRONLY, 0)
	require.ErrorIs(t, err, errno.EISDIR)
	_, err = m.ReadFile(ctx, "/"+strings.Repeat("x", maxPath))
	require.ErrorIs(t, err, errno.ENAMETOOLONG)
}

func TestCall_MaySleep(t *testing.T) {
	m, ctx := booted(t), t.Context()
	now, count := m.now, m.Count()
	_, err := m.Call(ctx, "msleep", 500)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, m.now-now, uint64(500*time.Millisecond))
	assert.Less(t, m.Count()-count, uint64(20_000_000), "time passes without instructions where nothing runs")
}

func TestCall_TakesTheTimeOfItsInstructions(t *testing.T) {
	m, ctx := booted(t), t.Context()
	clock := func() uint64 {
		ns, err := m.Call(ctx, "sched_clock")
		require.NoError(t, err)
		return ns
	}
	from, count := clock(), m.Count()
	for range 100 {
		_, err := m.Call(ctx, "int_sqrt", 1<<40)
		require.NoError(t, err)
	}
	passed := clock() - from
	assert.Greater(t, passed, uint64(1000))
	assert.InDelta(t, m.Count()-count, passed, 100)
}

func TestCall_RealGracePeriods(t *testing.T) {
	m := booted(t)
	for _, name := range []string{"synchronize_rcu", "synchronize_rcu_tasks_rude", "synchronize_rcu_tasks_trace"} {
		_, err := m.Call(t.Context(), name)
		require.NoError(t, err, name)
	}
}

func TestCall_OfAnUnknownFunction(t *testing.T) {
	_, err := booted(t).Call(t.Context(), "no_such_function")
	require.ErrorIs(t, err, errno.ENOENT)
}

func TestCall_PanicEndsTheBoard(t *testing.T) {
	m, ctx := booted(t), t.Context()
	copy(m.window(), "the test says so\x00")
	_, err := m.Call(ctx, "panic", windowBase)
	var stop *StopError
	require.ErrorAs(t, err, &stop)
	assert.Equal(t, "the test says so", stop.Panic)
	var run *kernel.RunError
	require.ErrorAs(t, err, &run)
	assert.Contains(t, strings.Join(run.Callers, "\n"), "panic+")
	_, again := m.Call(ctx, "msleep", 1)
	require.ErrorAs(t, again, &stop)
	_, err = m.Freeze()
	require.ErrorIs(t, err, errno.EBUSY)
}

func TestCall_WildStoreIsTheKernelsOops(t *testing.T) {
	var console []string
	m, err := frozen(t).Start(func(line string) { console = append(console, line) })
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	_, err = m.Call(t.Context(), "memset", 0xdead_0000_0000_0000, 0, 64)
	require.Error(t, err)
	log := strings.Join(console, "\n")
	assert.Contains(t, log, "Unable to handle kernel paging request at virtual address")
	assert.Contains(t, log, "Internal error: Oops")
	assert.Contains(t, log, "Kernel panic - not syncing: Attempted to kill init!")
}

func TestFrozen_MachinesAreApart(t *testing.T) {
	a, b, ctx := booted(t), booted(t), t.Context()
	require.NoError(t, a.WriteFile(ctx, "/tmp/file", 0, "a"))
	_, err := b.ReadFile(ctx, "/tmp/file")
	require.ErrorIs(t, err, errno.ENOENT)
}

func TestFrozen_SameInEveryMachine(t *testing.T) {
	var counts [2]uint64
	var traces [2]string
	for i := range counts {
		m := traced(t)
		require.NoError(t, m.WriteFile(t.Context(), tracing+"/current_tracer", os.O_TRUNC, "function\n"))
		b, err := m.ReadFile(t.Context(), tracing+"/trace")
		require.NoError(t, err)
		counts[i], traces[i] = m.Count(), string(b)
	}
	assert.Equal(t, counts[0], counts[1])
	assert.Equal(t, traces[0], traces[1])
	assert.Greater(t, len(traces[0]), 10_000)
}

func TestLstat_IsWhatTheKernelSays(t *testing.T) {
	m, ctx := booted(t), t.Context()
	require.NoError(t, m.WriteFile(ctx, "/tmp/file", 0, "12345"))
	info, err := m.Lstat(ctx, "/tmp/file")
	require.NoError(t, err)
	assert.EqualValues(t, 5, info.Size)
	assert.EqualValues(t, 0o100000, info.Mode&0o170000)
	info, err = m.Lstat(ctx, "/tmp")
	require.NoError(t, err)
	assert.EqualValues(t, 0o040755, info.Mode)
	_, err = m.Lstat(ctx, "/missing")
	require.ErrorIs(t, err, errno.ENOENT)
}

func TestChmodLchown_SetWhatLstatSays(t *testing.T) {
	m, ctx := booted(t), t.Context()
	require.NoError(t, m.WriteFile(ctx, "/tmp/file", 0, "1"))
	require.NoError(t, m.Chmod(ctx, "/tmp/file", 0o4604))
	info, err := m.Lstat(ctx, "/tmp/file")
	require.NoError(t, err)
	assert.EqualValues(t, 0o104604, info.Mode)
	require.NoError(t, m.Lchown(ctx, "/tmp/file", 1000, 100))
	require.NoError(t, m.Lchown(ctx, "/tmp/file", -1, 101))
	info, err = m.Lstat(ctx, "/tmp/file")
	require.NoError(t, err)
	assert.Equal(t, []uint32{1000, 101, 0o100604}, []uint32{info.UID, info.GID, info.Mode}, "chown takes the set-user-ID bit")
	require.ErrorIs(t, m.Chmod(ctx, "/missing", 0o600), errno.ENOENT)
	require.ErrorIs(t, m.Lchown(ctx, "/missing", 0, 0), errno.ENOENT)
}
