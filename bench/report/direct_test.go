package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/bench"
	"callops/emu/interp"
	"callops/internal/errno"
)

// The tables of docs/beyond-call-ops.md, but for the most sites.
func TestRunDirect_Tables(t *testing.T) {
	res, err := bench.RunDirect(t.Context(), &bench.DirectConfig{
		Engine: bench.Engine{Name: "interp", New: interp.New}, Designs: bench.DirectDesigns(nil), Sites: []int{1, 1000},
	})
	require.NoError(t, err)
	var got bytes.Buffer
	require.NoError(t, Direct(&got, res))
	file := filepath.Join("testdata", "direct.table")
	if *update {
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String())
}

func TestRunDirect_Refusals(t *testing.T) {
	_, err := bench.RunDirect(t.Context(), &bench.DirectConfig{Designs: bench.DirectDesigns(nil)})
	require.ErrorIs(t, err, errno.EINVAL)
	_, err = bench.RunDirect(t.Context(), &bench.DirectConfig{Engine: bench.Engine{Name: "interp", New: interp.New}})
	require.ErrorIs(t, err, errno.EINVAL)
}
