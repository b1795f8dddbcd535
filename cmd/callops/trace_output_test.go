package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/internal/tools"
)

// tracedImages are a command line for each kind of image.
func tracedImages(t *testing.T, f func(t *testing.T, args []string)) {
	t.Helper()
	for name, args := range map[string]func(t *testing.T) []string{
		"built-in": func(*testing.T) []string { return []string{"fib", "6"} },
		"ELF": func(*testing.T) []string {
			return []string{"--image", "../../kernelimage/testdata/workload/workload-callops.elf", "fib", "6"}
		},
		"Linux": func(t *testing.T) []string {
			return []string{"--image", kernels.Path(t, kernels.Linux612), "sha256", "@../../README.md", "1000", "buf:32"}
		},
		"CPUs": func(*testing.T) []string { return []string{"--cpus", "2", "fib", "6"} },
	} {
		t.Run(name, func(t *testing.T) { f(t, args(t)) })
	}
}

// run1 runs callops, which has to succeed.
func run1(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := runIn(nil, args...)
	require.Equal(t, exitDone, code, errs)
	return out
}

// traceCmd is what trace-cmd prints of a file.
func traceCmd(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command(tools.Need(t, "trace-cmd", "trace-cmd"), "report", "-O", "parent", "-i", file).Output()
	require.NoError(t, err)
	return string(out)
}

var (
	ourCall   = regexp.MustCompile(`(?m)^\[(\d+)\] +(\d+): (\S+) (?:\[\S+\] )?<-(\S+)`)
	theirCall = regexp.MustCompile(`(?m)^ *\S+-\d+ +\[(\d+)\] +(\d+): function: +(\S+) <-- (\S+)`)
)

// calls are the traced calls of a text, of each CPU: which comes first differs from run to run, and with several
// so do times, as the scheduler executes instructions too.
func calls(text string, line *regexp.Regexp, timed bool) map[string][]string {
	byCPU := make(map[string][]string)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		first := 3
		if timed {
			first = 2
		}
		byCPU[m[1]] = append(byCPU[m[1]], strings.Join(m[first:], " "))
	}
	return byCPU
}

func TestTraceOutput_TraceCmdPrintsTheSameCalls(t *testing.T) {
	tracedImages(t, func(t *testing.T, args []string) {
		timed := !slices.Contains(args, "--cpus")
		want := calls(run1(t, append([]string{"trace"}, args...)...), ourCall, timed)
		require.NotEmpty(t, want)
		for _, name := range []string{"t.dat", "t.v7.dat"} {
			file := filepath.Join(t.TempDir(), name)
			out := run1(t, append([]string{"trace", "--output", file}, args...)...)
			assert.NotContains(t, out, "# tracer", "events are in the file")
			assert.Contains(t, out, "instructions", "and results are not")
			assert.Equal(t, want, calls(traceCmd(t, file), theirCall, timed), name)
		}
	})
}

func TestTraceOutput_TraceCmdPrintsInstructionsAndPatches(t *testing.T) {
	args := []string{"trace", "--tracer", "insn", "--filter", "gcd"}
	call := []string{"gcd", "12", "18"}
	text := run1(t, append(args, call...)...)
	file := filepath.Join(t.TempDir(), "t.dat")
	run1(t, append(append(args, "--output", file), call...)...)
	got := traceCmd(t, file)
	assert.Equal(t, strings.Count(text, "\n[000]"), strings.Count(got, " insn: "))
	assert.Equal(t, strings.Count(text, "\npatch "), strings.Count(got, " patch: "))
	assert.Regexp(t, `callops/0-100 +\[000\] +0: patch: +\w+ gcd\+0x4: nop -> bl \w+ <ftrace_caller>\n`, got)
	assert.Regexp(t, `callops/0-100 +\[000\] +1: insn: +gcd\+0x0 aa1e03e9 mov x9, x30\n`, got)
}

func TestTraceOutput_TellsWhatAKernelLogs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.dat")
	run1(t, "trace", "--image", kernels.Path(t, kernels.Linux612), "--filter", "vprintk", "--output", file, "_printk", "\x016hello %d\n", "42")
	assert.Regexp(t, `(?m)^ *callops/0-100 +\[000\] +\d+: console: +hello 42$`, traceCmd(t, file))
}

func TestTraceOutput_LeavesNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.dat")
	require.NoError(t, os.WriteFile(file, []byte("before"), 0o600))
	code, _, errs := runIn(nil, "trace", "--output", file, "no_such_function")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "no_such_function")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "before", string(b))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// The ring holds the newest million.
func TestTraceOutput_TellsOfLostEvents(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.dat")
	run1(t, "trace", "--output", file, "fib", "29")
	first, _, _ := strings.Cut(strings.TrimPrefix(traceCmd(t, file), "cpus=1\n"), "\n")
	assert.Regexp(t, `^CPU:0 \[\d+ EVENTS DROPPED\]$`, first)
}

func TestTraceOutput_HoldsACallThatFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.dat")
	code, _, errs := runIn(nil, "trace", "--budget", "500", "--output", file, "fib", "20")
	assert.Equal(t, exitFailed, code, errs)
	assert.Greater(t, strings.Count(traceCmd(t, file), " function: "), 3)
}

func TestTraceOutput_Refuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--output", "t.txt"}, exitUsage, "the name ends in none of .dat"},
		{[]string{"--output", ".dat"}, exitUsage, "the name ends in none of"},
		{[]string{"--output", dir + "/t.dat", "--format", "json"}, exitUsage, "--output goes neither with"},
		{[]string{"--output", dir + "/t.folded"}, exitUsage, "needs a tracer that knows when functions return"},
		{[]string{"--output", dir + "/none/t.dat"}, exitFailed, "--output: open " + dir + "/none/t.dat: no such file or directory"},
	} {
		code, _, errs := runIn(nil, append(append([]string{"trace"}, c.args...), "fib", "3")...)
		assert.Equal(t, c.code, code, errs)
		assert.Contains(t, errs, c.want)
	}
	require.NoError(t, os.Mkdir(dir+"/d.dat", 0o700))
	code, _, errs := runIn(nil, "trace", "--output", dir+"/d.dat", "fib", "3")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "is a directory")
}

func TestOutputFile_KeepsALinkAndTellsWhatCanNotBeWritten(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/real", nil, 0o640))
	require.NoError(t, os.Symlink("real", dir+"/link"))
	f, err := createOutput(t.Context(), dir+"/link")
	require.NoError(t, err)
	_, err = f.WriteString("new")
	require.NoError(t, err)
	require.NoError(t, f.finish(nil))
	info, err := os.Lstat(dir + "/link")
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
	b, err := os.ReadFile(dir + "/real")
	require.NoError(t, err)
	assert.Equal(t, "new", string(b))

	if _, err := os.Stat("/dev/full"); err == nil {
		f, err := createOutput(t.Context(), "/dev/full")
		require.NoError(t, err)
		_, err = f.WriteString("new")
		require.NoError(t, err)
		assert.ErrorContains(t, f.finish(nil), "no space left")
	}
}

// Each traced call is an instant of the task's track, which lies below its CPU's.
func TestTraceOutput_ViewersGetEveryCall(t *testing.T) {
	tracedImages(t, func(t *testing.T, args []string) {
		want := 0
		for _, list := range calls(run1(t, append([]string{"trace"}, args...)...), ourCall, false) {
			want += len(list)
		}
		dir := t.TempDir()
		for _, name := range []string{"t.json", "t.perfetto-trace"} {
			run1(t, append([]string{"trace", "--output", filepath.Join(dir, name)}, args...)...)
		}
		b, err := os.ReadFile(filepath.Join(dir, "t.json"))
		require.NoError(t, err)
		var file struct {
			TraceEvents []struct{ Cat, Ph string }
		}
		require.NoError(t, json.Unmarshal(b, &file))
		got := 0
		for _, e := range file.TraceEvents {
			if e.Cat == "function" && e.Ph == "i" {
				got++
			}
		}
		assert.Equal(t, want, got)

		cmd := exec.Command(tools.Need(t, "protoc", "protobuf-compiler"), "--decode=perfetto.protos.Trace", "-I../../trace/perfetto/testdata", "trace.proto")
		cmd.Stdin, err = os.Open(filepath.Join(dir, "t.perfetto-trace"))
		require.NoError(t, err)
		out, err := cmd.Output()
		require.NoError(t, err)
		assert.Equal(t, want, strings.Count(string(out), "type: TYPE_INSTANT"))
		assert.Contains(t, string(out), `name: "callops/0 10`)
		assert.Contains(t, string(out), `name: "CPU 0"`)
	})
}

// What was executed in all stacks together is what the call took.
func TestTraceOutput_ProfilesHaveEveryInstruction(t *testing.T) {
	tracedImages(t, func(t *testing.T, args []string) {
		dir := t.TempDir()
		folded := filepath.Join(dir, "t.folded")
		out := run1(t, append([]string{"trace", "--tracer", "insn", "--output", folded}, args...)...)
		want := 0
		for _, m := range regexp.MustCompile(`(?m)^(\d+) instructions$`).FindAllStringSubmatch(out, -1) {
			n, err := strconv.Atoi(m[1])
			require.NoError(t, err)
			want += n
		}
		b, err := os.ReadFile(folded)
		require.NoError(t, err)
		got := 0
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			n, err := strconv.Atoi(fields[len(fields)-1])
			require.NoError(t, err)
			got += n
		}
		assert.Equal(t, want, got)

		file := filepath.Join(dir, "t.pb.gz")
		run1(t, append([]string{"trace", "--tracer", "insn", "--output", file}, args...)...)
		top, err := exec.Command("go", "tool", "pprof", "-top", file).CombinedOutput()
		require.NoError(t, err, string(top))
		assert.Contains(t, string(top), "Type: instructions\n")
		assert.Regexp(t, fmt.Sprintf(`Showing nodes accounting for \d+, \d+(\.\d+)?%% of %d total`, want), string(top))
	})
}

func TestTraceOutput_PprofKnowsLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.pb.gz")
	run1(t, "trace", "--tracer", "insn", "--image", "../../kernelimage/testdata/workload/debug-5.elf", "--output", file, "use", "7")
	top, err := exec.Command("go", "tool", "pprof", "-top", "-lines", file).CombinedOutput()
	require.NoError(t, err, string(top))
	assert.Regexp(t, `(?m)^ +12 54.55% 54.55% +20 90.91%  use \S*debug.c:11$`, string(top))
	assert.Regexp(t, `(?m) half \S*debug.c:10$`, string(top))
	raw, err := exec.Command("go", "tool", "pprof", "-raw", file).CombinedOutput()
	require.NoError(t, err, string(raw))
	assert.Regexp(t, `(?m)^ +1: \d+ \d+ *$`, string(raw), "a sample of two locations: half, called by use")
}

var (
	ourGraph   = regexp.MustCompile(`(?m)^ (\d+)\) +(?:(\d+) insn)? +\|  (.*?)(?: /\* .*)?$`)
	theirGraph = regexp.MustCompile(`(?m)^ *\S+-\d+ +\[00(\d)\] +\d+: funcgraph_\w+: +[+!#$*@]? *(?:(\d+\.\d+) us)? +\|  (.*)$`)
)

// graph is a graph's lines: CPU, instructions, text. Readers take instructions for nanoseconds.
func graph(text string, line *regexp.Regexp) (lines []string) {
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		lines = append(lines, m[1]+" "+strings.TrimLeft(strings.Replace(m[2], ".", "", 1), "0")+" "+m[3])
	}
	return lines
}

func TestTraceOutput_TraceCmdPrintsTheSameGraph(t *testing.T) {
	tracedImages(t, func(t *testing.T, args []string) {
		if slices.Contains(args, "--cpus") {
			return // which line comes first differs from run to run
		}
		args = append([]string{"trace", "--tracer", "function_graph"}, args...)
		want := graph(run1(t, args...), ourGraph)
		require.Greater(t, len(want), 1)
		file := filepath.Join(t.TempDir(), "t.dat")
		run1(t, append([]string{args[0], "--output", file}, args[1:]...)...)
		assert.Equal(t, want, graph(traceCmd(t, file), theirGraph))
	})
}

// What a call took is divided among the functions of its graph.
func TestTraceOutput_FoldedGraphIsWhatTheFirstCallTook(t *testing.T) {
	var durations []string
	for _, line := range graph(run1(t, "trace", "--tracer", "function_graph", "fib", "6"), ourGraph) {
		durations = append(durations, strings.Fields(line)[1])
	}
	file := filepath.Join(t.TempDir(), "t.folded")
	run1(t, "trace", "--tracer", "function_graph", "--output", file, "fib", "6")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	sum := 0
	for line := range strings.Lines(string(b)) {
		n, err := strconv.Atoi(strings.Fields(line)[1])
		require.NoError(t, err)
		sum += n
	}
	took, err := strconv.Atoi(durations[len(durations)-1])
	require.NoError(t, err)
	assert.InDelta(t, took, sum, 200, "less the tracer's own work at both ends")
}
