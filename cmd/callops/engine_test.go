package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/engines"
)

const workload = "../../kernelimage/testdata/workload/workload-callops.elf"

// Scripts that execute guest code.
func TestScripts_Engine(t *testing.T) { runScripts(t, "testdata/engine") }

func TestCall_SHA256IsGosSHA256(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	// Around the block size and its padding.
	for _, n := range []int{0, 1, 55, 56, 63, 64, 65, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			data := make([]byte, n)
			_, err := random.Read(data)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "data")
			require.NoError(t, os.WriteFile(path, data, 0o600))
			want := fmt.Sprintf("%x", sha256.Sum256(data))

			code, out, errs := runIn(nil, "call", "--image", workload, "sha256", "@"+path, fmt.Sprint(n), "buf:32")
			assert.Equal(t, exitDone, code, errs)
			assert.Contains(t, out, "000000  "+want)

			code, out, errs = runIn(bytes.NewReader(data), "call", "--image", workload, "sha256", "@-", fmt.Sprint(n), "buf:32")
			assert.Equal(t, exitDone, code, errs)
			assert.Contains(t, out, "000000  "+want, "from standard input")
		})
	}
}

// The same command line prints the same bytes, whatever it is.
func TestOutput_IsTheSameTwice(t *testing.T) {
	for _, line := range []string{
		"call --image " + workload + " self_test",
		"trace --image " + workload + " self_test",
		"trace --image " + workload + " --scheme global --filter sort* self_test",
		"trace fib 10",
		"trace --tracer insn --filter * checksum_buffer hello 5",
		"sites --filter * --image " + workload,
		"image --format json " + workload,
	} {
		t.Run(line, func(t *testing.T) {
			args := strings.Fields(line)
			code, out, errs := runIn(nil, args...)
			require.Equal(t, exitDone, code, errs)
			require.NotEmpty(t, out)
			for range 2 {
				code, again, _ := runIn(nil, args...)
				assert.Equal(t, exitDone, code)
				assert.Equal(t, out, again)
			}
		})
	}
}

// Every engine prints the same bytes, and so do two in lockstep.
func TestOutput_IsTheSameOnEveryEngine(t *testing.T) {
	names := []string{engines.Both}
	for _, e := range engines.All() {
		names = append(names, e.Name)
	}
	for _, line := range []string{
		"call --image " + workload + " self_test",
		"call --scheme global fib 12",
		"trace --image " + workload + " self_test",
		"trace --scheme global --ops-flags rcu fib 6",
		"trace --tracer insn --filter * gcd 12 18",
		"call --budget 1000 spin_forever",
		"call do_undefined",
		"call do_fault 0x1234",
		"call do_overflow 100000",
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Fields(line)
			var first string
			for _, name := range names {
				if _, ok := engines.Lookup(name); !ok {
					continue // lockstep takes two
				}
				args := append([]string{words[0], "--engine", name}, words[1:]...)
				code, out, errs := runIn(nil, args...)
				got := fmt.Sprintf("exit %d\n%s%s", code, out, errs)
				if first == "" {
					first = got
				}
				assert.Equal(t, first, got, name)
			}
		})
	}
}

// What is traced does not change what the function returns.
func TestTrace_KeepsResult(t *testing.T) {
	_, plain, _ := runIn(nil, "call", "--image", workload, "self_test")
	want, _, _ := strings.Cut(plain, "\n")
	for _, flags := range []string{
		"", "--scheme global", "--ops-flags recursion", "--ops-flags rcu", "--ops-flags recursion,rcu,regs",
		"--scheme global --ops-flags recursion,rcu", "--filter *sort* --notrace heap*",
	} {
		t.Run(flags, func(t *testing.T) {
			args := append([]string{"trace", "--image", workload}, strings.Fields(flags)...)
			code, out, errs := runIn(nil, append(args, "self_test")...)
			assert.Equal(t, exitDone, code, errs)
			assert.Contains(t, out, "\n"+want+"\n")
		})
	}
}

// A line for each instruction, neither more nor less.
func TestTraceInsn_PrintsEveryInstruction(t *testing.T) {
	code, out, errs := runIn(nil, "trace", "--tracer", "insn", "--filter", "*", "fib", "8")
	require.Equal(t, exitDone, code, errs)
	lines := 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "[000]") {
			lines++
		}
	}
	assert.Contains(t, out, fmt.Sprintf("\n%d instructions\n", lines))
}

func TestCancel_EndsEndlessLoop(t *testing.T) {
	for line, where := range map[string]string{
		"call spin_forever":                      "spin_forever+0x",
		"trace spin_forever":                     "spin_forever+0x",
		"trace --tracer insn spin_forever":       "spin_forever+0x",
		"bench --calls 4294967295":               "+0x",
		"check --scenario hand-over --no-reduce": "scenario hand-over",
	} {
		t.Run(line, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
			var out, errs strings.Builder
			root := newRoot(nil, &out, &errs)
			root.SetArgs(strings.Fields(line))
			cmd, err := root.ExecuteContextC(ctx)
			assert.Equal(t, exitFailed, reportError(&errs, cmd, err))
			first, rest, _ := strings.Cut(errs.String(), "\n")
			if strings.HasPrefix(line, "check") {
				assert.Equal(t, "callops: interrupted: "+where, first)
				assert.Empty(t, rest)
				return
			}
			assert.Contains(t, first, "callops: interrupted in ")
			assert.Contains(t, first, where)
			assert.Contains(t, rest, "last instructions:")
		})
	}
}
