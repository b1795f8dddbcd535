package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/bench"
	"callops/emu/interp"
	"callops/internal/errno"
)

// These are the tables of docs/beyond-call-ops.md, and what `callops bench --direct` prints.
func TestRunDirect_Tables(t *testing.T) {
	res, err := bench.RunDirect(t.Context(), &bench.DirectConfig{
		Engine: bench.Engine{Name: "interp", New: interp.New}, Designs: bench.DirectDesigns(nil),
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

	rows := map[string]bool{}
	for _, line := range strings.Split(string(want), "\n") {
		rows[strings.Join(strings.Fields(line), " ")] = true
	}
	doc, err := os.ReadFile("../../docs/beyond-call-ops.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(doc), "\n## Direct calls under one ops\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := 0
	for _, line := range strings.Split(section, "\n") {
		if row, ok := strings.CutPrefix(line, "     "); ok {
			quoted++
			assert.True(t, rows[strings.Join(strings.Fields(row), " ")], "the documentation has a row that is not so: %s", row)
		}
	}
	assert.Greater(t, quoted, 30)
}

func TestRunDirect_Refusals(t *testing.T) {
	_, err := bench.RunDirect(t.Context(), &bench.DirectConfig{Designs: bench.DirectDesigns(nil)})
	require.ErrorIs(t, err, errno.EINVAL)
	_, err = bench.RunDirect(t.Context(), &bench.DirectConfig{Engine: bench.Engine{Name: "interp", New: interp.New}})
	require.ErrorIs(t, err, errno.EINVAL)
}
