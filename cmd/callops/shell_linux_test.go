package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

// guestShell is `callops shell` as a process of its own, on a Linux 6.12.
func guestShell(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		why := "mounting takes /dev/fuse and root"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	file := kernels.Path(t, kernels.Linux612)
	cmd := exec.Command("callops", append([]string{"shell", "--image", file}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+testCache)
	return cmd
}

// output runs a command, and returns what it printed and its exit status.
func output(t *testing.T, cmd *exec.Cmd) (out string, status int) {
	t.Helper()
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func TestShell_ShowsTheGuestsTracefsWhereToolsLook(t *testing.T) {
	out, status := output(t, guestShell(t, "sh", "-e", "-c", `
cd /sys/kernel/tracing
echo sha256 >set_ftrace_filter
cat /sys/kernel/debug/tracing/set_ftrace_filter /proc/sys/kernel/ftrace_enabled
echo sha256_update >>set_ftrace_filter
cat set_ftrace_filter
grep -w sha256_update /proc/kallsyms
ls /sys/devices/system/cpu | grep -cx 'cpu[0-9]*'
grep ' tracefs ' /proc/mounts
`))
	assert.Zero(t, status, out)
	assert.Regexp(t, `^sha256\n1\nsha256_update\nsha256\nffff8000[0-9a-f]{8} T sha256_update\n1\n`, out)
	assert.Contains(t, out, "tracefs /sys/kernel/tracing tracefs ")
	mounts, err := os.ReadFile("/proc/mounts")
	require.NoError(t, err)
	assert.NotContains(t, string(mounts), "/kallsyms", "the host sees nothing of it")
}

func TestShell_EndsAsItsCommand(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		status int
		out    string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 7"}, 7, ""},
		{[]string{"sh", "-c", "kill -9 $$"}, 137, ""},
		{[]string{"callops-nosuchcommand"}, 127, `callops: exec: "callops-nosuchcommand": executable file not found in $PATH` + "\n"},
		{[]string{"/etc/passwd"}, 126, `callops: exec: "/etc/passwd": permission denied` + "\n"},
	} {
		out, status := output(t, guestShell(t, tt.args...))
		assert.Equal(t, tt.status, status, "%q: %s", tt.args, out)
		assert.Equal(t, tt.out, out, "%q", tt.args)
	}
}

func TestShell_RunsTraceCmd(t *testing.T) {
	if _, err := exec.LookPath("trace-cmd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := guestShell(t, "--load", "msleep 10", "trace-cmd", "record", "-p", "function", "-l", "msleep*", "sleep", "0.2")
	cmd.Dir = t.TempDir()
	out, status := output(t, cmd)
	require.Zero(t, status, out)
	report := exec.Command("trace-cmd", "report")
	report.Dir = cmd.Dir
	out, status = output(t, report)
	require.Zero(t, status, out)
	assert.Equal(t, "cpus=1", strings.Split(out, "\n")[0])
	assert.Greater(t, strings.Count(out, "function:             msleep"), 3, out)
	assert.Regexp(t, `load/0-\d+ +\[000\] +\d+\.\d+: function: +msleep`, out)
}

func TestShell_TellsOfAGuestThatPanics(t *testing.T) {
	out, status := output(t, guestShell(t, "grep", " linux_banner$", "/proc/kallsyms"))
	require.Zero(t, status, out)
	banner, _, _ := strings.Cut(out, " ")
	out, status = output(t, guestShell(t, "--load", "panic 0x"+banner, "sleep", "1"))
	assert.Equal(t, exitFailed, status, out)
	assert.Equal(t, 1, strings.Count(out, "callops: "), out)
	assert.Contains(t, out, ": Kernel panic: Linux version 6.12")
	assert.Contains(t, out, "    panic+")
}

func TestShell_PassesSignalsOn(t *testing.T) {
	cmd := guestShell(t, "sh", "-c", `trap 'echo got TERM; exit 3' TERM; echo ready; while :; do sleep 0.05; done`)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Equal(t, "ready", lines.Text())
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.True(t, lines.Scan())
	assert.Equal(t, "got TERM", lines.Text())
	require.Error(t, cmd.Wait())
	assert.Equal(t, 3, cmd.ProcessState.ExitCode())
}

// guestMount is `callops mount` as a process of its own, once it has mounted.
func guestMount(t *testing.T) (cmd *exec.Cmd, dir string) {
	t.Helper()
	shell := guestShell(t) // for what it needs
	dir = t.TempDir()
	cmd = exec.Command("callops", "mount", "--image", kernels.Path(t, kernels.Linux612), dir)
	cmd.Env = shell.Env
	errs, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(errs).ReadString('\n')
	require.NoError(t, err, line)
	require.Equal(t, "callops: mounted on "+dir+"\n", line)
	out, err := exec.Command("cat", dir+"/current_tracer").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "nop\n", string(out))
	return cmd, dir
}

func isMounted(t *testing.T, dir string) bool {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	require.NoError(t, err)
	return strings.Contains(string(mounts), " "+dir+" ")
}

func TestMount_UnmountsHoweverItEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		end    func(*exec.Cmd, string) error
		status int
	}{
		{"SIGTERM", func(cmd *exec.Cmd, _ string) error { return cmd.Process.Signal(syscall.SIGTERM) }, 0},
		{"SIGKILL", func(cmd *exec.Cmd, _ string) error { return cmd.Process.Kill() }, -1},
		{"umount", func(_ *exec.Cmd, dir string) error { return syscall.Unmount(dir, 0) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd, dir := guestMount(t)
			require.NoError(t, tt.end(cmd, dir))
			_ = cmd.Wait()
			assert.Equal(t, tt.status, cmd.ProcessState.ExitCode())
			assert.Eventually(t, func() bool { return !isMounted(t, dir) }, 10*time.Second, 10*time.Millisecond)
		})
	}
}

func TestShell_TakesItsCommandWithIt(t *testing.T) {
	cmd := guestShell(t, "sh", "-c", "echo $$; exec sleep 100")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	assert.Eventually(t, func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(line) + "/exe")
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
}
