package check_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/check/event"
)

var update = flag.Bool("update", false, "write the counterexamples in testdata anew")

// What a counterexample looks like. Those here are short, and have all that
// there is to see: stale data, a stale instruction, grace periods, callbacks.
func TestWriteText_IsAsItWas(t *testing.T) {
	for _, name := range []string{"load-literal-twice", "no-tasks-wait", "no-hash-grace"} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			require.NoError(t, counterexample(t, name).WriteText(&got))
			file := filepath.Join("testdata", name+".txt")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o777))
				require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o666))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), got.String())
		})
	}
}

// counterexample is how a mutation breaks its scenario.
func counterexample(t *testing.T, mutation string) *check.Counterexample {
	t.Helper()
	for _, m := range check.Mutations() {
		if m.Name == mutation {
			r, err := check.Check(t.Context(), m.Scenario, mutation, nil)
			require.NoError(t, err)
			require.Len(t, r.Violations, 1)
			return r.Violations[0]
		}
	}
	require.Fail(t, "no mutation "+mutation)
	return nil
}

func TestStep_OnOneLine(t *testing.T) {
	const bl = "bl ffff800078001000 <ftrace_caller>"
	for want, s := range map[string]check.Step{
		"stores: f+0x4 := bl ftrace_caller (was nop)":           {Does: "stores", Writes: []check.Write{{What: "f+0x4", Value: bl, Old: "nop"}}},
		"stores: f+0x4 := bl ftrace_caller (as before)":         {Does: "stores", Writes: []check.Write{{What: "f+0x4", Value: bl, Old: bl}}},
		"f+0x4: nop   [STALE: now bl ftrace_caller]":            {Where: "f+0x4", Does: "nop", Newest: bl},
		"f: ldr x0, [x1]   a = 1 [STALE: now 2], b = 3":         {Where: "f", Does: "ldr x0, [x1]", Reads: []check.Read{{What: "a", Value: "1", Stale: true, Newest: "2"}, {What: "b", Value: "3"}}},
		"f: cbz x10, ffff80007800127c   (and 20 more)":          {Where: "f", Does: "cbz x10, ffff80007800127c", More: 20},
		"callback runs, and frees hash of A":                    {Agent: event.Callback, Does: "runs, and frees hash of A"},
		"stores: a := 1 (was 0), b := 2 (was 0)   (and 1 more)": {Does: "stores", More: 1, Writes: []check.Write{{What: "a", Value: "1", Old: "0"}, {What: "b", Value: "2", Old: "0"}}},
	} {
		assert.Equal(t, want, s.String())
	}
}
