package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/tools"
)

func TestCheckOutput_HoldsTheCounterexample(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"c.json", "c.perfetto-trace"} {
		code, out, errs := runIn(nil, "check", "--mutation", "load-literal-twice", "--output", filepath.Join(dir, name))
		assert.Equal(t, exitFailed, code, errs)
		assert.Contains(t, out, "STALE", "the text is printed too")
	}
	b, err := os.ReadFile(filepath.Join(dir, "c.json"))
	require.NoError(t, err)
	var file struct {
		TraceEvents []struct{ Name, Cat string }
	}
	require.NoError(t, json.Unmarshal(b, &file))
	stale := 0
	for _, e := range file.TraceEvents {
		if e.Cat == "stale" {
			stale++
			assert.Contains(t, e.Name, "stale read: literal of tracee_relevant")
		}
	}
	assert.Equal(t, 1, stale)

	cmd := exec.Command(tools.Need(t, "protoc", "protobuf-compiler"), "--decode=perfetto.protos.Trace", "-I../../trace/perfetto/testdata", "trace.proto")
	cmd.Stdin, err = os.Open(filepath.Join(dir, "c.perfetto-trace"))
	require.NoError(t, err)
	decoded, err := cmd.Output()
	require.NoError(t, err)
	for _, want := range []string{`name: "patcher"`, `name: "cpu0"`, `name: "cpu1"`, `name: "stale read: literal of tracee_relevant`, `name: "broken: func is called`} {
		assert.Equal(t, 1, strings.Count(string(decoded), want), want)
	}
}

func TestCheckOutput_ReplayIsTheSame(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, args ...string) string {
		path := filepath.Join(dir, name)
		code, _, errs := runIn(nil, append([]string{"check", "--output", path}, args...)...)
		assert.Equal(t, exitFailed, code, errs)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(b)
	}
	found := file("found.json", "--mutation", "load-literal-twice")
	_, token, _ := strings.Cut(found, `"replay":"`)
	token, _, _ = strings.Cut(token, `"`)
	assert.Equal(t, found, file("again.json", "--replay", token))
}

func TestCheckOutput_IsNotMadeForNothing(t *testing.T) {
	dir := t.TempDir()
	code, _, errs := runIn(nil, "check", "--scenario", "enable", "--output", dir+"/c.json")
	assert.Equal(t, exitDone, code, errs)
	assert.Contains(t, errs, "no counterexample, so "+dir+"/c.json is not written")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
	for _, args := range [][]string{{"--output", "c.dat"}, {"--list", "--output", "c.json"}} {
		code, _, _ := runIn(nil, append([]string{"check"}, args...)...)
		assert.Equal(t, exitUsage, code, args)
	}
	code, _, errs = runIn(nil, "check", "--scenario", "enable", "--output", dir+"/none/c.json")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "no such file or directory")
}
