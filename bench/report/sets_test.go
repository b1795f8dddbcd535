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
	"callops/ftrace"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// These are the tables of docs/beyond-call-ops.md, and what `callops bench --scheme` prints.
func TestSchemes_Tables(t *testing.T) {
	linux, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	defer linux.Close()
	all := []ftrace.Scheme{ftrace.CallOps, ftrace.Sets, ftrace.List, ftrace.Global}
	var got bytes.Buffer
	for _, table := range []struct {
		relevant, irrelevant []int
		flags                ftrace.OpsFlag
		results              []Named
	}{
		{[]int{1, 2, 3, 10, 100}, []int{0, 100}, 0, []Named{
			{"builtin", &bench.Result{Code: bench.CodeCallops}}, {"Linux 6.12", &bench.Result{Code: bench.CodeCallops}}, {"Linux 6.12", &bench.Result{Code: bench.CodeImage}},
		}},
		{[]int{1, 2, 10}, []int{0}, ftrace.OpsRecursion, []Named{{"builtin, ops with RECURSION", &bench.Result{Code: bench.CodeCallops}}}},
		{[]int{1, 2, 10}, []int{0}, ftrace.OpsRCU, []Named{{"builtin, ops with RCU", &bench.Result{Code: bench.CodeCallops}}}},
	} {
		for i := range table.results {
			r := &table.results[i]
			cfg := &bench.Config{
				Engines: []bench.Engine{{Name: "interp", New: interp.New}}, Schemes: all, Calls: 5, OpsFlags: table.flags,
				Relevant: table.relevant, IrrelevantCounts: table.irrelevant,
			}
			if r.Name == "Linux 6.12" {
				cfg.Image = linux
			}
			if r.Code == bench.CodeImage {
				cfg.ImageTrampolines, cfg.Schemes = true, all[:2]
			}
			r.Result, err = bench.Run(t.Context(), cfg)
			require.NoError(t, err)
		}
		require.NoError(t, Beside(&got, table.results))
	}
	file := filepath.Join("testdata", "schemes.table")
	if *update {
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String())

	doc, err := os.ReadFile("../../docs/beyond-call-ops.md")
	require.NoError(t, err)
	section := sectionOf(t, string(doc), "Site sets: several ops at a site")
	quoted := 0
	for line := range strings.Lines(section) {
		if row, ok := strings.CutPrefix(line, "    "); ok && strings.HasPrefix(row, " ") {
			quoted++
			assert.Contains(t, string(want), row, "the documentation has a row that is not so")
		}
	}
	assert.Greater(t, quoted, 20)
}

// sectionOf is what is below a heading of a document, up to the next one of its level.
func sectionOf(t *testing.T, doc, heading string) string {
	t.Helper()
	_, section, ok := strings.Cut(doc, "\n## "+heading+"\n")
	require.True(t, ok, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}
