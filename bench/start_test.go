package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
)

// BenchmarkStart makes a machine from nothing: the built-in kernel booted, with
// ftrace on it.
func BenchmarkStart(b *testing.B) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(b, err)
	for _, e := range engines {
		b.Run("engine="+e.Name, func(b *testing.B) {
			for b.Loop() {
				k, err := kernel.Boot(image, e.New, nil)
				require.NoError(b, err)
				_, err = ftrace.New(k, nil)
				require.NoError(b, err)
				require.NoError(b, k.Close())
			}
		})
	}
}
