package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the expected output in testdata/*.txtar anew")

func TestMain(m *testing.M) {
	testscript.Main(&cleaned{m}, map[string]func(){"callops": func() {
		code := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		reportPeak()
		os.Exit(code)
	}})
}

// testCache is a cache folder for the snapshots of tests, which is removed after them.
var testCache string

// cleaned runs the tests with it.
type cleaned struct{ *testing.M }

func (c *cleaned) Run() int {
	dir, err := os.MkdirTemp("", "callops-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	testCache = dir
	code := c.M.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// reportPeak writes the most that the process has had in memory to the file that $PEAK names, as
// /proc/self/status has it. The rusage of a process counts what the one that forked it had.
func reportPeak() {
	file := os.Getenv("PEAK")
	if file == "" {
		return
	}
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		err = os.WriteFile(file, status, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// Scripts that any build passes: they execute no guest code.
func TestScripts(t *testing.T) { runScripts(t, "testdata/scripts") }

// runScripts runs the scripts of a folder. They know one more command,
//
//	exits CODE ARG...
//
// which runs callops with those arguments and expects that exit code. $IMAGES
// is where the test images are; four spoilt ones are in the working folder.
func runScripts(t *testing.T, dir string) {
	t.Helper()
	images, err := filepath.Abs("../../kernelimage/testdata/workload")
	require.NoError(t, err)
	require.DirExists(t, images)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("IMAGES", images)
			return writeSpoilt(e.WorkDir, filepath.Join(images, "workload-callops.elf"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// writeSpoilt writes copies of an image that are cut short or for another
// machine.
func writeSpoilt(dir, image string) error {
	elf, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	x86 := slices.Clone(elf)
	binary.LittleEndian.PutUint16(x86[0x12:], 62) // e_machine: EM_X86_64
	bzImage := append(make([]byte, 0x202), "HdrS"...)
	copy(bzImage, "MZ")
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "bzImage"), bzImage, 0o600),
		os.WriteFile(filepath.Join(dir, "tiny.elf"), elf[:40], 0o600),
		os.WriteFile(filepath.Join(dir, "short.elf"), elf[:len(elf)/2], 0o600),
		os.WriteFile(filepath.Join(dir, "x86.elf"), x86, 0o600),
	)
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec("callops", args[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, expected %d", code, want)
	}
	if errs := ts.ReadFile("stderr"); code != exitDone && !strings.HasPrefix(errs, "callops: ") {
		ts.Fatalf("an error that does not begin with callops: %q", errs)
	}
	if out := ts.ReadFile("stdout"); code == exitUsage && out != "" {
		ts.Fatalf("wrong usage, and yet there is a result: %q", out)
	}
}

// runIn runs a command line in this process.
func runIn(in io.Reader, args ...string) (code int, out, errs string) {
	var o, e strings.Builder
	code = run(args, in, &o, &e)
	return code, o.String(), e.String()
}
