package mount

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// The kernel's ftracetest (tools/testing/selftests/ftrace), which .ci/ftracetest unpacks: its scripts run on the host, unmodified, and find
// the tracefs of a Linux 6.12 on a board where they look for one. testdata has what each case comes to under QEMU.

var (
	onlyCases   = flag.String("ftracetest", "", "run the cases of the kernel's ftracetest that match this `regexp`")
	updateCases = flag.Bool("ftracetest-update", false, "write the results to testdata")
	logFolder   = flag.String("ftracetest-logs", "", "keep the cases' logs in this `folder`")
	caseTime    = flag.Duration("ftracetest-timeout", 2*time.Minute, "of a case")
)

const resultsFile = "testdata/ftracetest-6.12.txt"

// outcome is what a case comes to; one that is run in an instance too is two.
type outcome struct {
	qemu, board string
	name        string
}

// readOutcomes reads the results file: a comment, then a line a case.
func readOutcomes(t *testing.T) (comment string, list []outcome) {
	t.Helper()
	b, err := os.ReadFile(resultsFile)
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			comment += line
			continue
		}
		f := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		require.Len(t, f, 3, line)
		list = append(list, outcome{f[0], f[1], f[2]})
	}
	return comment, list
}

// selftests is the folder of ftracetest.
func selftests(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "callops", "selftests", "linux-source-6.12", "ftrace")
	if _, err := os.Stat(filepath.Join(dir, "ftracetest")); err != nil {
		cannot(t, "the kernel's ftracetest is not there; .ci/ftracetest gets it")
	}
	return dir
}

func TestFtracetest(t *testing.T) {
	if *onlyCases == "" {
		t.Skip("it takes half an hour: make ftracetest")
	}
	comment, list := readOutcomes(t)
	only, err := regexp.Compile(*onlyCases)
	require.NoError(t, err)
	r := newCaseRunner(t)
	ran := make(map[string]string)
	counts := make(map[string]int)
	for i, o := range list {
		file := strings.TrimSuffix(o.name, inInstance)
		if !only.MatchString(file) {
			continue
		}
		if _, ok := ran[file]; !ok {
			begin := time.Now()
			for name, result := range r.run(file) {
				ran[name] = result
			}
			t.Logf("%6.1fs %s", time.Since(begin).Seconds(), file)
		}
		got, ok := ran[o.name]
		if !ok {
			got = "NONE"
		}
		counts[got]++
		t.Logf("%-12s %-12s %s", got, o.qemu, o.name)
		if !*updateCases {
			assert.Equal(t, o.board, got, o.name)
		}
		list[i].board = got
	}
	t.Logf("%v", counts)
	if *updateCases {
		text := []byte(comment)
		for _, o := range list {
			text = fmt.Appendf(text, "%s\t%s\t%s\n", o.qemu, o.board, o.name)
		}
		require.NoError(t, os.WriteFile(resultsFile, text, 0o644))
	}
}

// notThere are cases that ask for what a process of the host does beyond the guest's files (docs/ftracetest.md).
var notThere = []string{"00basic/mount_options.tc", "dynevent/add_remove_eprobe.tc", "kprobe/kprobe_args_user.tc"}

// TestFtracetest_FailsWhereQEMUDoes holds the results that are recorded against QEMU's.
func TestFtracetest_FailsWhereQEMUDoes(t *testing.T) {
	_, list := readOutcomes(t)
	for _, o := range list {
		if o.board == "FAIL" && !slices.Contains(notThere, o.name) {
			assert.Equal(t, "FAIL", o.qemu, o.name)
		}
	}
}

const inInstance = " (instance)"

// caseRunner runs cases, each on a machine of its own.
type caseRunner struct {
	t      *testing.T
	dir    string
	frozen *board.Frozen
	env    []string
}

func newCaseRunner(t *testing.T) *caseRunner {
	t.Helper()
	needs(t)
	r := &caseRunner{t: t, dir: selftests(t)}
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	m, err := board.Start(t.Context(), img, &board.Options{CPUs: 2})
	require.NoError(t, err)
	r.files(m)
	r.frozen, err = m.Freeze()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.frozen.Close()) })
	require.NoError(t, m.Close())
	shims, err := filepath.Abs("testdata/shims")
	require.NoError(t, err)
	r.env = append(os.Environ(), "PATH="+shims+":"+os.Getenv("PATH"))
	return r
}

// files gives the guest the host's shell, on which cases put uprobes.
func (r *caseRunner) files(m *board.Machine) {
	t, ctx := r.t, r.t.Context()
	program, err := filepath.EvalSymlinks("/bin/sh")
	require.NoError(t, err)
	text, err := os.ReadFile(program)
	require.NoError(t, err)
	for _, name := range []string{"/bin/sh", program} {
		at := "/"
		for _, folder := range strings.Split(strings.Trim(filepath.Dir(name), "/"), "/") {
			at = filepath.Join(at, folder)
			if err := m.Mkdir(ctx, at, 0o755); !errors.Is(err, fs.ErrExist) {
				require.NoError(t, err)
			}
		}
		require.NoError(t, m.WriteFile(ctx, name, os.O_TRUNC, string(text)))
	}
}

// line is how ftracetest tells a result: its number, whether it was in an instance, its description, the result.
var line = regexp.MustCompile(`(?m)^\[\d+\]( \(instance\) )?.*\t\[(\w+)\]$`)

// run runs a case, and returns what it came to, by name: of a case that is run in an instance too there are two.
func (r *caseRunner) run(file string) map[string]string {
	t := r.t
	m, err := r.frozen.Start(nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, m.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), *caseTime)
	defer cancel()
	logs := *logFolder
	if logs == "" {
		logs = t.TempDir()
	}
	logs = filepath.Join(logs, strings.ReplaceAll(strings.TrimSuffix(file, ".tc"), "/", "-"))
	cmd := exec.CommandContext(ctx, filepath.Join(r.dir, "ftracetest"), "-k", "-l", logs, filepath.Join(r.dir, "test.d", file))
	cmd.Env = r.env
	out := &resultWriter{want: r.results(file), done: cancel}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = Shell(m, cmd, &ShellOptions{Tasks: true, Died: func(err error) { t.Errorf("%s: %v", file, err) }})
	results := make(map[string]string)
	for _, found := range line.FindAllStringSubmatch(out.String(), -1) {
		name := file
		if found[1] != "" {
			name += inInstance
		}
		results[name] = found[2]
	}
	var exit *exec.ExitError
	switch {
	case len(results) == out.want:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		for _, name := range []string{file, file + inInstance}[:out.want] {
			if results[name] == "" {
				results[name] = "TIMEOUT"
			}
		}
	case err != nil && !errors.As(err, &exit):
		t.Errorf("%s: %v", file, err)
	default:
		t.Errorf("%s: %s", file, out.String())
	}
	return results
}

// instanceFlag is how a case asks to be run in an instance too.
var instanceFlag = regexp.MustCompile(`(?m)^#[ \t]*flags:.*instance`)

// results is how many results a case has.
func (r *caseRunner) results(file string) int {
	b, err := os.ReadFile(filepath.Join(r.dir, "test.d", file))
	require.NoError(r.t, err)
	if instanceFlag.Match(b) {
		return 2
	}
	return 1
}

// resultWriter calls done when the last result is there. What ftracetest does after it is to clean up, on a machine that is thrown away.
type resultWriter struct {
	bytes.Buffer
	want int
	done func()
}

func (w *resultWriter) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if len(line.FindAll(w.Bytes(), -1)) == w.want {
		w.done()
	}
	return n, err
}
