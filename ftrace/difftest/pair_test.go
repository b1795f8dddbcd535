package difftest_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"callops/ftrace/difftest"
	"callops/internal/kernels"
	"callops/kernelimage"
)

var (
	operations = flag.Int("operations", 3000, "how many operations TestSoak applies on each kernel")
	all        = flag.Bool("all", false, "TestSoak applies them on all call sites")
	shrink     = flag.Duration("shrink", 0, "how long TestSoak looks for a shorter sequence after a difference")
	seed       = flag.Uint64("seed", 1, "what TestSoak's operations come from")
)

func open(t *testing.T, series string) *kernelimage.Image {
	t.Helper()
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, img.Close()) })
	return img
}

func TestSoak_TheCoresAgree(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			s := &difftest.Soak{Image: open(t, series), Steps: *operations, Seed: *seed, All: *all, Shrink: *shrink}
			start := time.Now()
			require.NoError(t, s.Run(t.Context()))
			t.Logf("%.0f operations a second", float64(*operations)/time.Since(start).Seconds())
		})
	}
}

func TestSoak_TheCoresAgreeOnFiltersThatWaitForModules(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			s := &difftest.Soak{
				Image: open(t, series), Steps: *operations / 3, Seed: *seed, Shrink: *shrink, Commands: true,
				Modules: []string{kernels.Module(t, series, "af_alg"), kernels.Module(t, series, "authenc")},
			}
			require.NoError(t, s.Run(t.Context()))
		})
	}
}

func TestSoak_TheCoresAgreeOnModules(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			s := &difftest.Soak{
				Image: open(t, series), Steps: *operations / 3, Seed: *seed, Shrink: *shrink,
				Modules: []string{kernels.Module(t, series, "af_alg"), kernels.Module(t, series, "authenc")},
			}
			require.NoError(t, s.Run(t.Context()))
		})
	}
}

func TestSoak_TheCoresDoItInTheSameOrder(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			s := &difftest.Soak{Image: open(t, series), Steps: *operations / 10, Seed: *seed, Order: true, Shrink: *shrink, Modules: []string{kernels.Module(t, series, "af_alg")}}
			require.NoError(t, s.Run(t.Context()))
		})
	}
}
