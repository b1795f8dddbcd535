package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/internal/kernels"
	"callops/kernelimage"
)

func openKernel(tb testing.TB, series string) *kernelimage.Image {
	tb.Helper()
	img, err := kernelimage.Open(kernels.Path(tb, series), nil)
	require.NoError(tb, err)
	return img
}

// Linux 6.12's own ftrace_caller and list function, driven by our core, take
// what they took in a kernel that was booted: it is the same machine code.
func TestRun_Linux612TakesWhatItTookBooted(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	eachEngine(t, func(t *testing.T, e Engine) {
		res := measure(t, &Config{Image: img, ImageTrampolines: true, Engines: []Engine{e}, Calls: 20})
		compared := 0
		for _, row := range res.Rows {
			if ref, ok := referenceCallOps[scenario{row.Relevant, row.Irrelevant}]; ok {
				assert.Equal(t, ref, reference{row.PerCall, row.Overhead}, "%d relevant, %d irrelevant", row.Relevant, row.Irrelevant)
				compared++
			}
			if row.Relevant > 0 {
				assert.Equal(t, 39, row.Trampoline)
			}
		}
		assert.Equal(t, len(referenceCallOps), compared)
	})
}

// The kernel's sample was built with PACIASP and AUTIASP in its tracer, which
// are two instructions that ours does not have.
func TestRun_Linux61TakesWhatItTookBooted(t *testing.T) {
	const signing = 2
	img := openKernel(t, kernels.Linux61)
	eachEngine(t, func(t *testing.T, e Engine) {
		res := measure(t, &Config{Image: img, ImageTrampolines: true, Engines: []Engine{e}, Calls: 20})
		for _, row := range res.Rows {
			assert.False(t, row.CallOps)
			if ref, ok := referenceBefore(scenario{row.Relevant, row.Irrelevant}); ok {
				assert.Equal(t, ref.overhead, row.Overhead+float64(signing*row.Relevant), "%d relevant, %d irrelevant", row.Relevant, row.Irrelevant)
			}
		}
	})
}

// Our trampolines in the distribution's kernel cost what they cost in the
// built-in one.
func TestRun_OurTrampolinesInLinux(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	eachEngine(t, func(t *testing.T, e Engine) {
		cfg := Config{Engines: []Engine{e}, Calls: 20, Relevant: []int{1, 2}, IrrelevantCounts: []int{0, 3}}
		builtin := measure(t, &cfg)
		cfg.Image = img
		linux := measure(t, &cfg)
		for _, on := range []bool{false, true} {
			assert.Equal(t, overheads(builtin, on), overheads(linux, on))
		}
	})
}

// BenchmarkLinux612 opens the kernel, boots it with ftrace on all its sites, and
// registers one ops on them.
func BenchmarkLinux612(b *testing.B) {
	path := kernels.Path(b, kernels.Linux612)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			_, err := kernelimage.Open(path, nil)
			require.NoError(b, err)
		}
	})
	img := openKernel(b, kernels.Linux612)
	e := engines[len(engines)-1]
	boot := func(b *testing.B) (*kernelimage.Kernel, *ftrace.Registry) {
		k, err := kernelimage.Boot(img, e.New, nil)
		require.NoError(b, err)
		r, err := ftrace.New(k, &ftrace.Options{ImageCode: true})
		require.NoError(b, err)
		return k, r
	}
	b.Run("boot", func(b *testing.B) {
		for b.Loop() {
			k, _ := boot(b)
			require.NoError(b, k.Close())
		}
	})
	k, r := boot(b)
	defer k.Close()
	o, err := r.NewOps("all", r.Code().OpsFuncNop, 0, 0)
	require.NoError(b, err)
	b.Run("register and unregister", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, r.Register(o))
			require.NoError(b, r.Unregister(o))
		}
	})
}
