// Package floors tests that the packages of this module import one another in
// one direction only. The map is that of docs/architecture.md: each package
// may import those of lower floors.
package floors

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module is the path of the module, wherever that is.
var module = sync.OnceValue(func() string {
	out, err := exec.Command("go", "list", "-m").Output()
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(out))
})

// floors are the packages of the map, a floor a line. What is below internal/
// is not on it, and open to all.
var floors = [][]string{
	{"asm", "emu", "kernelimage/ctype"},
	{"emu/enginetest", "emu/isa"},
	{"emu/record"},
	{"emu/unicorn", "emu/interp"},
	{"emu/lockstep", "emu/difftest"},
	{"emu/engines"},
	{"kernelimage"},
	{"kernelimage/module", "kernelimage/textdiff"},
	{"kernel"},
	{"kernel/services", "trampolines", "sched"},
	{"ftrace"},
	{"ftrace/guestcore"},
	{"machine", "trace/ringbuffer"},
	{"trace"},
	{"trace/tracedat", "trace/timeline", "trace/profile"},
	{"trace/perfetto", "board"},
	{"bench", "bench/peers", "check", "gdb", "board/mount", "tracefs", "ftrace/difftest"},
	{"try", "play"},
	{"page"},
	{"cmd/callops"},
}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath   string
	CgoFiles     []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// listPackages lists the packages of the module.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,CgoFiles,Imports,TestImports,XTestImports", module()+"/...")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	require.NoError(t, err)
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		pkgs = append(pkgs, p)
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}

// within returns a package's path in the module.
func within(path string) (string, bool) { return strings.CutPrefix(path, module()+"/") }

func isInternal(name string) bool { return strings.HasPrefix(name, "internal/") }

// place returns the package of the map that a package is, or is a part of
// (check/models), and that one's floor.
func place(name string) (owner string, floor int, ok bool) {
	for i, names := range floors {
		for _, n := range names {
			if (name == n || strings.HasPrefix(name, n+"/")) && len(n) > len(owner) {
				owner, floor, ok = n, i, true
			}
		}
	}
	return owner, floor, ok
}

// allowed reports whether a package may import another.
func allowed(from, to string) bool {
	if isInternal(to) {
		return true
	}
	fromOwner, fromFloor, okFrom := place(from)
	toOwner, toFloor, okTo := place(to)
	return okFrom && okTo && (toFloor < fromFloor || toOwner == fromOwner)
}

func TestImports_GoDownOnly(t *testing.T) {
	for _, p := range listPackages(t) {
		name, ok := within(p.ImportPath)
		if !ok || isInternal(name) {
			continue
		}
		_, _, ok = place(name)
		assert.True(t, ok, "%s is not on the map", name)
		for _, path := range p.Imports {
			if to, ok := within(path); ok {
				assert.True(t, allowed(name, to), "%s imports %s", name, to)
			}
		}
	}
}

// Tests of a package may use the assembler and an engine, whatever floor these
// are on: it takes both to run code. Those of a kernel's own core may use a machine, which sets
// that up.
func TestImports_OfTests(t *testing.T) {
	for _, p := range listPackages(t) {
		name, ok := within(p.ImportPath)
		if !ok || isInternal(name) {
			continue
		}
		for _, path := range append(p.TestImports, p.XTestImports...) {
			to, ok := within(path)
			if !ok || to == name || to == "asm" || strings.HasPrefix(to, "emu/") || name == "ftrace/guestcore" && to == "machine" {
				continue
			}
			assert.True(t, allowed(name, to), "a test of %s imports %s", name, to)
		}
	}
}

func TestCgo_OnlyInUnicorn(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath != module()+"/emu/unicorn" {
			assert.Empty(t, p.CgoFiles, "%s uses cgo", p.ImportPath)
		}
	}
}

// There is no golang.org/x/sys/unix on Windows and js/wasm: error numbers are
// those of internal/errno, and memory is internal/hostmem's.
func TestUnix_OnlyInHostmem(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath == module()+"/internal/hostmem" {
			continue
		}
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			assert.NotEqual(t, "golang.org/x/sys/unix", path, "%s imports it", p.ImportPath)
		}
	}
}

func TestAllowed(t *testing.T) {
	assert.True(t, allowed("ftrace", "trampolines"))
	assert.True(t, allowed("check/models", "check"))
	assert.False(t, allowed("ftrace", "bench"), "up")
	assert.False(t, allowed("emu", "emu/unicorn"), "a contract imports what keeps it")
	assert.False(t, allowed("bench", "tracefs"), "side by side")
	assert.False(t, allowed("emu/interp", "emu/unicorn"), "side by side")
	assert.False(t, allowed("ftrace", "util"), "not on the map")
}
