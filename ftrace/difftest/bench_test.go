package difftest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/ftrace/difftest"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// Operations on both cores, with all that is compared after each.
func BenchmarkOperation(b *testing.B) {
	img, err := kernelimage.Open(b.Context(), kernels.Path(b, kernels.Linux612), nil)
	require.NoError(b, err)
	defer img.Close()
	for _, all := range []bool{false, true} {
		b.Run(fmt.Sprintf("all sites=%v", all), func(b *testing.B) {
			s := &difftest.Soak{Image: img, Steps: b.N, Seed: 1, All: all}
			require.NoError(b, s.Run(b.Context()))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "operations/s")
		})
	}
}
