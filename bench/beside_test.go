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
	require.NoError(t, WriteBeside(&b, []Named{
		{"linux", &Result{Rows: []Row{row("interp", true, 0, 0, 0), row("interp", true, 1, 0, 42)}}},
		{"ours", &Result{Rows: []Row{row("interp", false, 1, 0, 102), row("interp", false, 1, 5, 212), row("interp", true, 1, 0, 34)}}},
	}))
	assert.Equal(t, `Overhead of a traced call, in executed instructions.

  relevant  irrelevant  linux, CALL_OPS on, interp  ours, CALL_OPS off, interp  ours, CALL_OPS on, interp
         0           0                           0                           -                          -
         1           0                          42                         102                         34
         1           5                           -                         212                          -
`, b.String())
}
