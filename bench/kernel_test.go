package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

func openKernel(tb testing.TB, series string) *kernelimage.Image {
	tb.Helper()
	img, err := kernelimage.Open(tb.Context(), kernels.Path(tb, series), nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, img.Close()) })
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
				assert.Equal(t, ref, Reference{row.PerCall, row.Overhead}, "%d relevant, %d irrelevant", row.Relevant, row.Irrelevant)
				compared++
			}
			if row.Relevant > 0 {
				assert.Equal(t, 39, row.Trampoline)
			}
		}
		assert.Equal(t, len(referenceCallOps), compared)
	})
}

// twoOps are what 7.x's own code takes for two ops, as its compiler made it; for
// one it takes 42, as 6.12 does.
var twoOps = map[string]float64{
	"7.2.13+deb14-cloud-arm64": 219, // gcc 16
	"7.3.4+deb13-cloud-arm64":  224, // gcc 14
}

func TestRun_Linux7sOwnFtrace(t *testing.T) {
	img := openKernel(t, kernels.Linux7)
	eachEngine(t, func(t *testing.T, e Engine) {
		res := measure(t, &Config{Image: img, ImageTrampolines: true, Engines: []Engine{e}, Calls: 20, Relevant: []int{1, 2}, IrrelevantCounts: []int{0}})
		overhead := make(map[int]float64)
		for _, row := range res.Rows {
			overhead[row.Relevant] = row.Overhead
		}
		assert.EqualValues(t, 42, overhead[1])
		if want, ok := twoOps[kernels.Version(t, kernels.Linux7)]; ok {
			assert.Equal(t, want, overhead[2])
		}
		assert.InDelta(t, 220, overhead[2], 30)
	})
}

// Likewise 6.1. The tracer is a function of that kernel that does nothing, as its
// compiler makes one (with PACIASP and AUTIASP, which callops' own has not).
func TestRun_Linux61TakesWhatItTookBooted(t *testing.T) {
	img := openKernel(t, kernels.Linux61)
	eachEngine(t, func(t *testing.T, e Engine) {
		cfg, err := (&Config{Image: img, ImageTrampolines: true, Engines: []Engine{e}, Calls: 20}).withDefaults()
		require.NoError(t, err)
		r, err := newRig(t.Context(), cfg, e, ftrace.Global)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
		require.NoError(t, r.chooseIrrelevant(t.Context(), ""))
		r.tracer = emptyFunction(t, img, r.tracee.Func())

		var base measured
		for _, s := range published {
			m, err := r.measure(t.Context(), s)
			require.NoError(t, err)
			if s == (scenario{}) {
				base = m
			}
			want, _ := referenceBefore(s) // nothing where the tracee is not traced
			assert.EqualValues(t, want.Overhead*float64(cfg.Calls), m.insns-base.insns, "%d relevant, %d irrelevant", s.relevant, s.irrelevant)
		}
	})
}

// emptyFunction returns a function that does nothing, other than the one given.
func emptyFunction(t *testing.T, img *kernelimage.Image, other uint64) uint64 {
	t.Helper()
	for _, s := range img.EmptyFuncs(2) {
		if s.Addr != other {
			return s.Addr
		}
	}
	require.Fail(t, "no second function does nothing")
	return 0
}

// Our trampolines in the distribution's kernel cost what they cost in the
// built-in one.
func TestRun_OurTrampolinesInLinux(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img := openKernel(t, series)
			eachEngine(t, func(t *testing.T, e Engine) {
				cfg := Config{Engines: []Engine{e}, Calls: 20, Relevant: []int{1, 2}, IrrelevantCounts: []int{0, 3}}
				builtin := measure(t, &cfg)
				cfg.Image = img
				linux := measure(t, &cfg)
				for _, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets} {
					assert.Equal(t, overheads(builtin, scheme), overheads(linux, scheme))
				}
			})
		})
	}
}

// BenchmarkLinux612 opens the kernel, boots it with ftrace on all its sites, and
// registers one ops on them.
func BenchmarkLinux612(b *testing.B) {
	path := kernels.Path(b, kernels.Linux612)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			img, err := kernelimage.Open(b.Context(), path, nil)
			require.NoError(b, err)
			require.NoError(b, img.Close())
		}
	})
	img := openKernel(b, kernels.Linux612)
	e := engines[0]
	boot := func(b *testing.B) (*kernel.Kernel, *ftrace.Registry) {
		k, err := kernel.Boot(img, e.New, nil)
		require.NoError(b, err)
		require.NoError(b, k.FreeInitMem())
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
	o, err := r.NewOps("all", r.Code().OpsFuncNop, nil)
	require.NoError(b, err)
	b.Run("register and unregister", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, r.Register(o))
			require.NoError(b, r.Unregister(o))
		}
	})
}

// The sites are those of a booted kernel, whose init text has been freed.
func TestRun_RegistrationLeavesInitTextOut(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	res := measure(t, &Config{Image: img, Engines: engines[:1], Calls: 1, Relevant: []int{1}, Registration: true})
	require.NotZero(t, img.InitSites())
	require.NotEmpty(t, res.Registration)
	assert.Equal(t, len(img.Sites())-img.InitSites(), res.Registration[0].Sites)
}
