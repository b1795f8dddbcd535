package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/bench"
	"callops/ftrace"
)

func TestBeside_HasAColumnForEachResultModeAndEngine(t *testing.T) {
	row := func(engine string, scheme ftrace.Scheme, relevant, irrelevant int, overhead float64) bench.Row {
		return bench.Row{Engine: engine, Scheme: scheme, Relevant: relevant, Irrelevant: irrelevant, Overhead: overhead}
	}
	var b bytes.Buffer
	require.NoError(t, Beside(&b, []Named{
		{"linux", &bench.Result{Code: bench.CodeImage, Calls: 9, Tracee: "f", Rows: []bench.Row{row("interp", ftrace.CallOps, 0, 0, 0), row("interp", ftrace.CallOps, 1, 0, 42)}}},
		{"linux", &bench.Result{Code: bench.CodeCallops, Calls: 9, Tracee: "g", Rows: []bench.Row{
			row("interp", ftrace.Global, 1, 0, 102), row("interp", ftrace.Global, 1, 5, 212), row("interp", ftrace.CallOps, 1, 0, 34),
		}}},
	}))
	assert.Equal(t, `Overhead of a traced call, in executed instructions.
A: linux, the image's own ftrace, 9 calls of f a row
B: linux, callops' ftrace, 9 calls of g a row

                                  A             B            B
                        CALL_OPS on  CALL_OPS off  CALL_OPS on
  relevant  irrelevant       interp        interp       interp
         0           0            0             -            -
         1           0           42           102           34
         1           5            -           212            -
`, b.String())
}

func TestBeside_FitsAHundredColumns(t *testing.T) {
	var results []Named
	for range 4 {
		r := sampleResult()
		results = append(results, Named{"vmlinuz-6.12.107+deb13-cloud-arm64", r})
	}
	var b bytes.Buffer
	require.NoError(t, Beside(&b, results))
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, len(line), 101, line)
	}
	assert.Equal(t, 2, strings.Count(b.String(), "relevant  irrelevant"), "two tables of the eight columns")
}
