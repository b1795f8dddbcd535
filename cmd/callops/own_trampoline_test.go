package main

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const template = "../../trampolines/template/"

// scenariosOf are the scenarios that a line of a file of the template names.
func scenariosOf(t *testing.T, file string) (flags []string) {
	t.Helper()
	text, err := os.ReadFile(template + file)
	require.NoError(t, err)
	named := regexp.MustCompile(`SCENARIOS="([^"]+)"`).FindSubmatch(text)
	require.NotNil(t, named)
	for _, name := range regexp.MustCompile(`\S+`).FindAllString(string(named[1]), -1) {
		flags = append(flags, "--scenario", name)
	}
	return flags
}

func TestOwnTrampoline_TheTemplateHolds(t *testing.T) {
	args := append([]string{"check", "--image", template + "ftrace.elf", "--trampoline", "image"}, scenariosOf(t, "ci.yml")...)
	code, out, errs := runIn(nil, args...)
	assert.Equal(t, exitDone, code, out+errs)
	assert.Regexp(t, `(?m)^enable +holds`, out)
	assert.NotContains(t, out, "BROKEN")
}

func TestOwnTrampoline_WhatItCosts(t *testing.T) {
	code, out, errs := runIn(nil, "bench", "--image", template+"ftrace.elf", "--trampoline", "image", "--tracee", "nothing",
		"--relevant", "1", "--irrelevant", "0", "--calls", "10", "--format", "json")
	require.Equal(t, exitDone, code, errs)
	var report struct {
		Rows []struct {
			Relevant   int
			Overhead   float64
			Trampoline float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.NotEmpty(t, report.Rows)
	traced := report.Rows[len(report.Rows)-1]
	assert.Equal(t, 1, traced.Relevant)
	assert.Equal(t, 34., traced.Trampoline, "as docs/own-trampoline.md has it")
	assert.Equal(t, 37., traced.Overhead)
}

func TestOwnTrampoline_Traces(t *testing.T) {
	code, out, errs := runIn(nil, "trace", "--image", template+"ftrace.elf", "--trampoline", "image", "sum", "5")
	assert.Equal(t, exitDone, code, errs)
	assert.Contains(t, out, ": sum <-return_to_host\n")
	assert.Contains(t, out, "sum(5) = 0xf")
}

func TestOwnTrampoline_AFaultEndsInACounterexample(t *testing.T) {
	for elf, want := range map[string]string{
		"loses-x1.elf":    `broken: the traced function finds its registers as its caller left them: x1=`,
		"loads-twice.elf": `broken: func is called with the ops that it belongs to: ftrace_ops_nop_func was called with ops A`,
	} {
		code, out, _ := runIn(nil, "check", "--image", template+"testdata/"+elf, "--trampoline", "image", "--scenario", "enable")
		assert.Equal(t, exitFailed, code, elf)
		assert.Regexp(t, `(?m)^enable +BROKEN`, out)
		assert.Contains(t, out, want)
		assert.Contains(t, out, "ftrace_caller+", "the way to it goes through the file's own code")
	}
}

func TestOwnTrampoline_AllThatIsMissingIsNamed(t *testing.T) {
	const missing = "only-caller.elf has no symbol arch_ftrace_ops_list_func, call_direct_funcs, ftrace_list_end, ftrace_list_ops, " +
		"ftrace_nop_ops, ftrace_ops_assist_func, ftrace_ops_list, ftrace_ops_nop_func, function_trace_op\n"
	for _, command := range [][]string{{"check"}, {"bench"}, {"trace", "sum", "5"}, {"sites"}} {
		args := append([]string{command[0], "--image", template + "testdata/only-caller.elf", "--trampoline", "image"}, command[1:]...)
		code, _, errs := runIn(nil, args...)
		assert.Equal(t, exitFailed, code, command)
		assert.Contains(t, errs, missing, command)
	}
}
