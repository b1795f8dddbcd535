package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernelimage"
)

const fixtureKo = "../kernelimage/module/testdata/fixture.ko"

func fixtureModule(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile(fixtureKo)
	require.NoError(tb, err)
	return b
}

func builtin(tb testing.TB, opts *kernelimage.BuiltinOptions) *kernelimage.Image {
	tb.Helper()
	img, err := kernelimage.Builtin(opts)
	require.NoError(tb, err)
	return img
}

// linux opens the newest of Debian's kernels of a series, which `make kernels`
// downloads.
func linux(tb testing.TB, series string) (img *kernelimage.Image, path string) {
	tb.Helper()
	return kept.Image(tb, series), kernels.Path(tb, series)
}

// release is the kernel's version, as uname -r has it.
func release(img *kernelimage.Image) string {
	release, _, _ := strings.Cut(img.Vermagic(), " ")
	return release
}

const workloads = "../kernelimage/testdata/workload"

// workload opens one of the images that gcc made.
func workload(tb testing.TB, file string) *kernelimage.Image {
	tb.Helper()
	img, err := kernelimage.Open(tb.Context(), filepath.Join(workloads, file), nil)
	require.NoError(tb, err)
	return img
}

// workloadFiles are the images built from testdata/workload/workload.c.
func workloadFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(workloads, "workload-*.*"))
	require.NoError(tb, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	require.NotEmpty(tb, files)
	return files
}

// kernelBase is where the built-in kernel begins.
const kernelBase uint64 = 0xffff_8000_8000_0000

// fourLayouts are the built-in kernel's variants.
var fourLayouts = []kernelimage.BuiltinOptions{{}, {BTI: true}, {NoCallOps: true}, {NoCallOps: true, BTI: true}}

func layoutName(o kernelimage.BuiltinOptions) string {
	return fmt.Sprintf("call_ops=%t,bti=%t", !o.NoCallOps, o.BTI)
}
