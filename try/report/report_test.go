package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/check/event"
	"callops/check/property"
	"callops/kernelimage/textdiff"
	"callops/try"
)

var update = flag.Bool("update", false, "write testdata anew")

// reports are what is rendered: a change that alters nothing, and one that breaks much.
func reports() map[string]*try.Report {
	kernel := func(name string) try.Kernel {
		return try.Kernel{Name: name, Banner: "Linux version 6.12.117 (a@b) (gcc 12) #1 SMP", CallOps: true, PageSize: 4096, Sites: 42069}
	}
	cost := func(relevant, irrelevant int, flags string, old, now try.Measured) try.Cost {
		return try.Cost{Relevant: relevant, Irrelevant: irrelevant, Flags: flags, Old: old, New: now}
	}
	c42, c44 := try.Measured{Overhead: 42, Trampoline: 39}, try.Measured{Overhead: 44, Trampoline: 41}
	c198 := try.Measured{Overhead: 198, Trampoline: 39}
	holds := try.Found{Outcome: try.Holds, States: 3547}
	return map[string]*try.Report{
		"same": {
			Old: kernel("vmlinuz.old"), New: kernel("vmlinuz"), Notes: []string{},
			Text:     &textdiff.Diff{Functions: 247, Same: 247, Changes: []textdiff.Function{}, Structures: []textdiff.Structure{}},
			Costs:    try.Costs{Tracee: "empty", Rows: []try.Cost{cost(1, 0, "", c42, c42), cost(2, 0, "", c198, c198)}},
			Verdicts: []try.Verdict{{Name: "enable", Old: holds, New: holds, Change: try.Same}},
			LeftOut:  []string{}, Worse: []string{}, Better: []string{}, Patcher: try.PatcherImage,
			Core: &try.Core{Old: try.Agreement{Operations: 3000, Ordered: 400}, New: try.Agreement{Operations: 3000, Ordered: 400}, Change: try.Same},
		},
		"worse": {
			Old: kernel("vmlinuz.old"), New: kernel("vm`linuz\x1b[31m|"), Notes: []string{"they are of two series, 6.12 and 6.13"},
			Text: &textdiff.Diff{
				Functions: 247, Same: 244,
				Changes: []textdiff.Function{
					{
						Name: "ftrace_caller", File: "arch/arm64/kernel/entry-ftrace.S", State: textdiff.Changed, OldSize: 156, NewSize: 164,
						Lines: []textdiff.Line{
							{Op: textdiff.Both, Old: 4, New: 4, Text: "and x11, x30, #0xfffffffffffffff8"},
							{Op: textdiff.OldOnly, Old: 8, New: -1, Text: "ldur x11, [x11, #-16]"},
							{Op: textdiff.NewOnly, Old: -1, New: 8, Text: "ldur x12, [x11, #-16]"},
							{Op: textdiff.NewOnly, Old: -1, New: 12, Text: "mov x11, x12"},
						},
					},
					{Name: "ftrace_startup", File: "kernel/trace/ftrace.c", State: textdiff.New, NewSize: 4, Lines: []textdiff.Line{{Op: textdiff.NewOnly, Old: -1, Text: "ret"}}},
					{Name: "ftrace_shutdown", File: "kernel/trace/ftrace.c", State: textdiff.Gone, OldSize: 8, Lines: []textdiff.Line{}},
				},
				Structures: []textdiff.Structure{{
					Name: "ftrace_ops", State: textdiff.Changed, OldSize: 208, NewSize: 216, Fields: []textdiff.Field{
						{Name: "direct_call", NewPlace: "208", NewDecl: "unsigned long direct_call"},
						{Name: "ops_func", OldPlace: "176", OldDecl: "ftrace_ops_func_t ops_func", NewPlace: "192", NewDecl: "ftrace_ops_func_t ops_func"},
					},
				}},
			},
			Costs: try.Costs{Tracee: "empty", Allow: 1, Rows: []try.Cost{
				cost(1, 0, "", c42, c44), cost(2, 0, "", c198, try.Measured{Failed: "a fault"}), cost(1, 0, "rcu", c44, c42),
			}},
			Verdicts: []try.Verdict{
				{Name: "enable", Old: holds, New: holds, Change: try.Same},
				{
					Name: "hand-over", Old: holds, Change: try.Worse,
					New: try.Found{Outcome: try.Broken, Property: property.FuncHasItsOps, States: 9, Counterexample: &check.Counterexample{
						Scenario: "hand-over", CPUs: 2, Property: property.FuncHasItsOps, Claim: property.FuncHasItsOps.Claim(),
						Detail: "ftrace_ops_nop_func was called with ops A", Token: "hand-over::o2:AA",
						Steps: []check.Step{{Agent: event.Patcher, Event: event.OperationBegins, Does: "register A: begins"}},
					}},
				},
				{
					Name: "protection", Old: try.Found{Outcome: try.Broken, Property: property.Protected, Finding: check.ProtectionLost},
					New: holds, Change: try.Better,
				},
				{
					Name: "filter-idle", Change: try.Same,
					Old: try.Found{Outcome: try.Broken, Property: property.NoUseAfterFree, Finding: check.HashFreedUnderReader},
					New: try.Found{Outcome: try.Broken, Property: property.NoUseAfterFree, Finding: check.HashFreedUnderReader},
				},
				{Name: "rcu-idle", Old: holds, New: try.Found{Outcome: try.Bounded}, Change: try.Unknown},
			},
			LeftOut: []string{"disable-bti"}, Patcher: try.PatcherCallops,
			Core: &try.Core{
				Old: try.Agreement{Operations: 3000}, Change: try.Worse,
				New: try.Agreement{Operations: 256, Difference: &try.Difference{
					What: "what it returned", Callops: "0", Kernel: "-16 (EBUSY)", Steps: []string{"new ops0", "register ops0"},
				}},
			},
			Worse:  []string{"a traced call costs 2 instructions more", "hand-over: broken: func is called with the ops that it belongs to"},
			Better: []string{"protection: holds now"},
		},
	}
}

func TestReport_IsAsInTestdata(t *testing.T) {
	for format, render := range map[string]func(io.Writer, *try.Report) error{"txt": Text, "md": Markdown, "json": JSON} {
		for name, r := range reports() {
			t.Run(name+"."+format, func(t *testing.T) {
				var b bytes.Buffer
				require.NoError(t, render(&b, r))
				file := filepath.Join("testdata", name+"."+format)
				if *update {
					require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
				}
				want, err := os.ReadFile(file)
				require.NoError(t, err)
				assert.Equal(t, string(want), b.String())
			})
		}
	}
}

// What files say reaches a terminal or a host of comments escaped.
func TestReport_EscapesWhatImagesSay(t *testing.T) {
	r := reports()["worse"]
	for name, render := range map[string]func(io.Writer, *try.Report) error{"text": Text, "markdown": Markdown} {
		var b bytes.Buffer
		require.NoError(t, render(&b, r))
		assert.NotContains(t, b.String(), "\x1b", name)
	}
	var b bytes.Buffer
	require.NoError(t, Markdown(&b, r))
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "|") {
			assert.Equal(t, 0, strings.Count(line, "`")%2, line)
		}
	}
}

func TestText_FitsOnAPage(t *testing.T) {
	r := reports()["worse"]
	f := r.Text.Changes[0]
	for range 200 {
		r.Text.Changes = append(r.Text.Changes, f)
	}
	var b bytes.Buffer
	require.NoError(t, Text(&b, r))
	assert.Less(t, strings.Count(b.String(), "\n"), 110)
	assert.Contains(t, b.String(), "and 179 more")
}

func TestJSON_IsReadBack(t *testing.T) {
	for name, r := range reports() {
		var b bytes.Buffer
		require.NoError(t, JSON(&b, r))
		var again try.Report
		require.NoError(t, json.Unmarshal(b.Bytes(), &again))
		assert.Equal(t, r, &again, name)
	}
}
