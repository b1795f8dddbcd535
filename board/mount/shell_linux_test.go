package mount

import (
	"bytes"
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board"
	"callops/internal/kernels"
)

// machine is a Linux 6.12 for a shell, with what else a distribution mounts.
func machine(t *testing.T) *board.Machine {
	t.Helper()
	needs(t)
	path := kernels.Path(t, kernels.Linux612)
	booted.once.Do(func() { booted.frozen, booted.err = boot(context.Background(), path) })
	require.NoError(t, booted.err)
	m, err := booted.frozen.Start(nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return m
}

// script runs a shell's script on the machine, for at most a minute.
func script(t *testing.T, m *board.Machine, text string, opts *ShellOptions) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := Shell(m, cmd, opts)
	return out.String(), err
}

func TestShell_FilesOfAGuestThatPanicsFail(t *testing.T) {
	m := machine(t)
	_, err := m.Thread(t.Context(), "panics", nil, board.GuestCall{Func: "msleep", Args: []uint64{500}}, board.GuestCall{Func: "emergency_restart"})
	require.NoError(t, err)
	var died error
	out, err := script(t, m, "while cat /sys/kernel/tracing/current_tracer; do sleep 0.01; done; echo the command goes on",
		&ShellOptions{Died: func(err error) { died = err }})
	require.NoError(t, err)
	assert.Contains(t, out, "nop\ncat: /sys/kernel/tracing/current_tracer: Input/output error\nthe command goes on\n")
	var stop *board.StopError
	require.ErrorAs(t, died, &stop)
	assert.True(t, stop.Reset)
}

func TestShell_EndsWithItsCommandWhateverThatLeaves(t *testing.T) {
	m := machine(t)
	begin := time.Now()
	out, err := script(t, m, "exec 3</sys/kernel/tracing/trace_pipe; (cat <&3; sleep 50) >/dev/null 2>&1 & echo $!", nil)
	require.NoError(t, err)
	assert.Less(t, time.Since(begin), 30*time.Second)
	_, err = m.ReadFile(t.Context(), tracing+"/current_tracer")
	require.NoError(t, err, "the machine is the caller's again")
	require.NotEmpty(t, out)
	require.NoError(t, exec.Command("sh", "-c", "kill -9 "+out).Run())
}

func TestShell_PollWaitsForTheGuest(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		cannot(t, err.Error())
	}
	m := machine(t)
	_, err := m.Thread(t.Context(), "sleeps", nil, board.GuestCall{Func: "msleep", Args: []uint64{10}})
	require.NoError(t, err)
	const program = `
import fcntl, os, select
def write(name, text):
    with open("/sys/kernel/tracing/" + name, "w") as f: f.write(text)
def ready(): return bool(select.select([pipe], [], [], 0.1)[0])
write("tracing_on", "0")
write("set_ftrace_filter", "msleep")
write("current_tracer", "function")
pipe = os.open("/sys/kernel/tracing/trace_pipe", os.O_RDONLY)
print(ready())
poll = select.epoll()
poll.register(pipe, select.EPOLLIN)
write("tracing_on", "1")
print(len(poll.poll(30)), b"msleep <-" in os.read(pipe, 4096))
write("tracing_on", "0")
fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_NONBLOCK)
try:
    while True: os.read(pipe, 4096)
except BlockingIOError: print("empty", ready())
os.close(pipe)
raw = os.open("/sys/kernel/tracing/per_cpu/cpu0/trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)
r, w = os.pipe()
try: print(os.splice(raw, w, 65536))
except BlockingIOError: print("no sub-buffer is full")
write("tracing_on", "1")
write("set_ftrace_filter", "vfs_*")
for i in range(200): os.stat("/sys/kernel/tracing/trace")
with open("/sys/kernel/tracing/available_filter_functions") as f: f.read()
n = os.splice(raw, w, 65536)
print(n > 0 and n % 4096 == 0 and len(os.read(r, n)) == n)
`
	out, err := script(t, m, "exec python3 -c '"+program+"'", nil)
	require.NoError(t, err, out)
	assert.Equal(t, "False\n1 True\nempty False\nno sub-buffer is full\nTrue\n", out)
}
