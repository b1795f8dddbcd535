package services

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

var update = flag.Bool("update", false, "write docs/kernel-functions.md anew, for the kernel that is there")

const libraryDoc = "../../docs/kernel-functions.md"

// trial is a function of the kernel's library, called and checked.
type trial struct {
	fn      string
	what    string // with what it is called
	against string // what its result is checked against
	run     func(g *guest)
}

func (c *trial) name() string { return c.fn + " " + c.what }

// guest is the kernel that runs the function of one trial.
type guest struct {
	*machine
	fn    string
	data  []byte // 64 KiB of the kernel's own constants
	input uint64 // where they are
	insns uint64 // of the first call of fn
}

// do calls the function under trial.
func (g *guest) do(args ...uint64) uint64 { g.t.Helper(); return g.of(g.fn, args...) }

// of calls any.
func (g *guest) of(fn string, args ...uint64) uint64 {
	g.t.Helper()
	res, err := g.CallName(context.Background(), 0, &emu.CallOptions{Budget: 200_000_000}, fn, args...)
	require.NoError(g.t, err)
	if fn == g.fn && g.insns == 0 {
		g.insns = res.Count
	}
	return res.X0
}

func (g *guest) buf(n int) uint64 { return g.bytes(make([]byte, n)) }

// sortedKeys are a map's keys in their order, which instruction counts depend on.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// gate makes a Go function that the kernel's code can call.
func (g *guest) gate(fn func(args [8]uint64) uint64) uint64 {
	g.t.Helper()
	addr, err := g.Gates.Add("callback", func(_ emu.CPU, args [8]uint64) (uint64, error) { return fn(args), nil })
	require.NoError(g.t, err)
	return addr
}

func (g *guest) symbol(name string) uint64 {
	g.t.Helper()
	s, err := g.Symbols.Lookup(name)
	require.NoError(g.t, err)
	return s.Addr
}

// equal compares what came out.
func (g *guest) equal(want, got any, msg ...any) {
	g.t.Helper()
	assert.Equal(g.t, want, got, msg...)
}

// failure is a function that does not run here.
type failure struct {
	fn   string
	args []uint64
	stop string // the function that it stops in
	why  string
}

// TestLibrary runs functions of the kernel's library on each engine, and
// compares what they give with Go's. Both engines count the same instructions.
func TestLibrary(t *testing.T) {
	img := linux(t, kernels.Linux612)
	data := make([]byte, 64<<10)
	n, err := img.ReadAt(data, img.Segments()[1].Addr)
	require.NoError(t, err)
	require.Len(t, data, n)
	counts := make(map[string]uint64)
	same := func(t *testing.T, fn string, count uint64) {
		t.Helper()
		if other, ok := counts[fn]; ok {
			assert.Equal(t, other, count, "instructions, by the engines")
		}
		counts[fn] = count
	}
	onEngine := func(t *testing.T, e engines.Engine) {
		m := boot(t, img, e.New, &kernel.BootOptions{HeapSize: 512 << 20}) // nothing is freed
		input := m.bytes(data)
		for _, group := range library {
			for _, c := range group.trials {
				t.Run(c.name(), func(t *testing.T) {
					g := &guest{machine: &machine{m.Kernel, m.Services, m.lines, t}, fn: c.fn, data: data, input: input}
					c.run(g)
					require.NotZero(t, g.insns, "the function was not called")
					same(t, c.name(), g.insns)
				})
			}
		}
		for _, f := range failures {
			t.Run(f.fn, func(t *testing.T) {
				_, err := m.CallName(context.Background(), 0, &emu.CallOptions{Budget: 200_000_000}, f.fn, f.args...)
				var run *kernel.RunError
				require.ErrorAs(t, err, &run)
				assert.Equal(t, f.stop, strings.SplitN(run.PC, "+", 2)[0], "%v", err)
				assert.True(t, len(run.Callers) > 0 || f.fn == f.stop, "without a caller")
			})
		}
	}
	for _, name := range absent {
		_, err := kernel.NewSymbols(img.Symbols()...).Lookup(name)
		require.ErrorIs(t, err, errno.ENOENT)
	}
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) { onEngine(t, e) })
	}
	if t.Failed() {
		return
	}
	doc := libraryTable(img, counts)
	if *update {
		require.NoError(t, os.WriteFile(libraryDoc, []byte(doc), 0o666))
		return
	}
	have, err := os.ReadFile(libraryDoc)
	require.NoError(t, err)
	if release := kernelRelease(img); !strings.Contains(string(have), release) {
		t.Logf("%s is of another kernel than %s: not compared", libraryDoc, release)
		return
	}
	assert.Equal(t, string(have), doc, "-update writes it anew")
}

// kernelRelease is what uname -r prints.
func kernelRelease(img *kernelimage.Image) string {
	return regexp.MustCompile(`\S*$`).FindString(strings.SplitN(img.Banner(), " (", 2)[0])
}

// libraryTable is docs/kernel-functions.md.
func libraryTable(img *kernelimage.Image, counts map[string]uint64) string {
	run := make(map[string]bool)
	for _, g := range library {
		for _, c := range g.trials {
			run[c.fn] = true
		}
	}
	var sb strings.Builder
	fmt.Fprintf(&sb, `<!-- Code generated by go test ./kernel/services -run TestLibrary -update; DO NOT EDIT. -->

# The kernel's own functions

Functions of Debian's %s, called one by one as `+"`callops call`"+` does: no kernel was
booted, nothing but the CPU's task and its per-CPU variables is set up, alternatives are as built, and what [services](services.md) stand in
for is Go. The test that wrote this page checks what each gives, on both engines, which count the same instructions: here those of the first
call. *64 KiB* are the first of the kernel's own constants.

%d functions run, %d were found that do not.

`, kernelRelease(img), len(run), len(failures))
	for _, g := range library {
		fmt.Fprintf(&sb, "## %s\n\n| function | called with | instructions | checked against |\n|---|---|---:|---|\n", g.name)
		for _, c := range g.trials {
			fmt.Fprintf(&sb, "| `%s` | %s | %d | %s |\n", c.fn, c.what, counts[c.name()], c.against)
		}
		sb.WriteString("\n")
	}
	sb.WriteString("## What does not run\n\n| function | ends | why |\n|---|---|---|\n")
	for _, f := range failures {
		fmt.Fprintf(&sb, "| `%s` | in `%s` | %s |\n", f.fn, f.stop, f.why)
	}
	fmt.Fprintf(&sb, "\nNot in the image, but in modules: `%s`.\n", strings.Join(absent, "`, `"))
	return sb.String()
}
