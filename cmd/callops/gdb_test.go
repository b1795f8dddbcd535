package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

var waiting = regexp.MustCompile(`target remote ([0-9.:]+)'`)

// underGDB runs callops under gdb, and returns what callops and gdb print.
func underGDB(t *testing.T, args []string, commands ...string) (printed, gdb string) {
	t.Helper()
	program, err := exec.LookPath("gdb-multiarch")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no gdb-multiarch; `make test` installs it")
	}
	require.NoError(t, err)
	errRead, errWrite := io.Pipe()
	var out bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(args, strings.NewReader(""), &out, errWrite)
		assert.NoError(t, errWrite.Close())
	}()
	lines := bufio.NewScanner(errRead)
	var addr string
	for addr == "" && lines.Scan() {
		if m := waiting.FindStringSubmatch(lines.Text()); m != nil {
			addr = m[1]
		}
	}
	require.NotEmpty(t, addr, "callops waits for no debugger")
	go func() { _, _ = io.Copy(io.Discard, errRead) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	list := []string{"-nx", "-batch", "-ex", "target remote " + addr}
	for _, c := range commands {
		list = append(list, "-ex", c)
	}
	text, err := exec.CommandContext(ctx, program, list...).CombinedOutput()
	require.NoError(t, err, "%s", text)
	assert.Equal(t, exitDone, <-code, "%s", text)
	return out.String(), string(text)
}

func TestGDB_EveryCommandThatRunsGuestCodeWaitsForIt(t *testing.T) {
	for _, r := range []struct {
		args     string
		commands []string
		printed  string // what callops prints, in part
		gdb      string
	}{
		{"gdb --listen localhost:0 --filter gcd gcd 12 18 -- fib 10", []string{"break fib", "continue", "monitor sites gcd", "delete", "continue"}, "fib(10) = 0x37 (55)\n1941 instructions", "ENABLED|CALL_OPS"},
		{"call --gdb=localhost:0 gcd 12 18", []string{"stepi", "reverse-stepi", "continue"}, "gcd(12, 18) = 0x6 (6)\n22 instructions", "in gcd ()"},
		{"trace --gdb=localhost:0 --filter gcd gcd 12 18", []string{"break ftrace_caller", "continue", "detach"}, "gcd <-return_to_host", "in ftrace_caller ()"},
		{"trace --gdb=localhost:0 --tracer insn gcd 12 18", []string{"stepi", "continue"}, "[000]       1  ffff800080000218  gcd", "in gcd ()"},
		{"bench --gdb=localhost:0 --scheme callops --relevant 1 --calls 10 --format csv", []string{"break ftrace_caller", "continue", "delete", "continue"}, "interp,", "in ftrace_caller ()"},
	} {
		t.Run(strings.Fields(r.args)[0], func(t *testing.T) {
			printed, gdb := underGDB(t, strings.Fields(r.args), r.commands...)
			assert.Contains(t, printed, r.printed, gdb)
			assert.Contains(t, gdb, r.gdb)
		})
	}
}

// The kernel's own patcher runs on a CPU, so it needs one of its own.
func TestGDB_TheKernelsOwnCore(t *testing.T) {
	if testing.Short() {
		t.Skip("heavy")
	}
	vmlinuz := kernels.Path(t, kernels.Linux612)
	printed, gdb := underGDB(t, []string{"gdb", "--listen", "localhost:0", "--image", vmlinuz, "--core", "image", "--filter", "gcd", "gcd", "12", "18"},
		"hbreak *((long)&gcd+4)", "continue", "monitor sites gcd", "monitor register mine gcd", "p $x30", "reverse-continue", "delete", "continue")
	assert.Contains(t, printed, "gcd(12, 18) = 6 (0x6)")
	assert.Contains(t, gdb, "monitor sites: the kernel's own core needs a CPU")
	assert.Contains(t, gdb, "monitor register: the kernel's own core needs a CPU, and the only one is in a call")

	printed, gdb = underGDB(t, []string{"gdb", "--listen", "localhost:0", "--image", vmlinuz, "--core", "image", "--cpus", "2", "--filter", "gcd", "gcd", "12", "18"},
		"monitor ops", "monitor register mine gcd", "continue")
	assert.Contains(t, printed, "task 1: gcd(12, 18) = 6 (0x6)")
	assert.Contains(t, gdb, "register mine: goes on when the CPUs do")
}

func TestGDB_WrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"gdb"},
		{"gdb", "--core", "both", "gcd"},
		{"bench", "--gdb"},
		{"bench", "--gdb", "--scheme", "callops,sets"},
		{"call", "--gdb", "--core", "both", "gcd"},
		{"trace", "--gdb", "--core", "both", "gcd"},
		{"bench", "--gdb", "--direct", "tagged"},
		{"call", "--gdb=", "gcd", "1", "1"},
	} {
		assert.Equal(t, exitUsage, run(args, strings.NewReader(""), io.Discard, io.Discard), "%q", args)
	}
	for _, args := range [][]string{
		{"gdb", "--listen", "0.0.0.0:0", "gcd", "1", "1"},
		{"gdb", "--listen", "nonsense", "gcd", "1", "1"},
	} {
		assert.Equal(t, exitFailed, run(args, strings.NewReader(""), io.Discard, io.Discard), "%q", args)
	}
}
