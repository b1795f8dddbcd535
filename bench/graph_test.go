package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/internal/kernels"
)

// graphOverheads are the instructions that a call with 0, 1, 2, 4, 8 and 16 graph users takes more.
func graphOverheads(t *testing.T, cfg Config) (all []float64) {
	t.Helper()
	cfg.Tracer, cfg.Calls = TracerGraph, 10
	cfg.Engines = []Engine{{"interp", interp.New}}
	cfg.Schemes = []ftrace.Scheme{ftrace.CallOps}
	res, err := Run(t.Context(), &cfg)
	require.NoError(t, err)
	for _, row := range res.Rows {
		all = append(all, row.Overhead)
	}
	return all
}

func TestRun_GraphUsers(t *testing.T) {
	all := graphOverheads(t, Config{})
	require.Len(t, all, 6)
	// One more user costs the same, however many there are.
	each := all[2] - all[1]
	assert.Equal(t, []float64{0, all[1], all[1] + each, all[1] + 3*each, all[1] + 7*each, all[1] + 15*each}, all)
	assert.Less(t, all[1], 250.0)
}

func TestRun_ImagesOwnFgraph(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img := openKernel(t, series)
			own := graphOverheads(t, Config{Image: img, ImageCore: true, ImageTrampolines: true, Relevant: []int{1, 16}})
			ours := graphOverheads(t, Config{Image: img, Relevant: []int{1, 16}})
			for i := 1; i < len(own); i++ {
				assert.Greater(t, own[i], ours[i])
			}
			t.Logf("one user: %v instructions, callops' %v; sixteen: %v, %v", own[1], ours[1], own[2], ours[2])
		})
	}
}

func TestRun_GraphUsersAreSixteenAtMost(t *testing.T) {
	_, err := Run(t.Context(), &Config{Tracer: TracerGraph, Relevant: []int{17}, Engines: []Engine{{"interp", interp.New}}})
	require.ErrorIs(t, err, errno.ENOSPC)
	_, err = Run(t.Context(), &Config{Tracer: TracerGraph, IrrelevantCounts: []int{1}, Engines: []Engine{{"interp", interp.New}}})
	require.ErrorIs(t, err, errno.EINVAL)
	_, err = Run(t.Context(), &Config{Tracer: TracerGraph, OpsFlags: ftrace.OpsRCU, Engines: []Engine{{"interp", interp.New}}})
	require.ErrorIs(t, err, errno.EINVAL)
}
