package bench

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriteBeside_HasAColumnForEachResultModeAndEngine(t *testing.T) {
	row := func(engine string, on bool, relevant, irrelevant int, overhead float64) Row {
		return Row{Engine: engine, CallOps: on, Relevant: relevant, Irrelevant: irrelevant, Overhead: overhead}
	}
	var b bytes.Buffer
	results := []Named{
		{"linux", "", &Result{Calls: 9, Tracee: "f", Rows: []Row{row("interp", true, 0, 0, 0), row("interp", true, 1, 0, 42)}}},
		{"ours", "", &Result{Calls: 9, Tracee: "g", Rows: []Row{row("interp", false, 1, 0, 102), row("interp", false, 1, 5, 212), row("interp", true, 1, 0, 34)}}},
	}
	require.NoError(t, WriteBeside(&b, results))
	assert.Equal(t, `Overhead of a traced call, in executed instructions.
linux: 9 calls of f a row.
ours: 9 calls of g a row.

                              linux          ours         ours
                        CALL_OPS on  CALL_OPS off  CALL_OPS on
  relevant  irrelevant       interp        interp       interp
         0           0            0             -            -
         1           0           42           102           34
         1           5            -           212            -
`, b.String())

	b.Reset()
	results[0].Whose, results[1].Name, results[1].Whose = "its own", "linux", "callops'"
	require.NoError(t, WriteBeside(&b, results))
	assert.Contains(t, b.String(), `
linux: 9 calls of f a row.

                              linux         linux        linux
                            its own      callops'     callops'
                        CALL_OPS on  CALL_OPS off  CALL_OPS on
`)
}
