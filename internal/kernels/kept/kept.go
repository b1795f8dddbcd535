// Package kept has the distribution's kernels that tests run on, opened: each once in
// a process, since that takes longer than most tests.
package kept

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/kernelimage"
)

// images are the open ones, by path.
var images sync.Map

// Image is the kernel of the newest package of a series. It is never closed.
func Image(tb testing.TB, series string) *kernelimage.Image {
	tb.Helper()
	path := kernels.Path(tb, series)
	open, _ := images.LoadOrStore(path, sync.OnceValues(func() (*kernelimage.Image, error) {
		return kernelimage.Open(context.Background(), path, nil)
	}))
	img, err := open.(func() (*kernelimage.Image, error))()
	require.NoError(tb, err)
	return img
}
