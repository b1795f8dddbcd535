package board

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

func open(t testing.TB, series string) *kernelimage.Image {
	t.Helper()
	img, err := kernelimage.Open(context.Background(), kernels.Path(t, series), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	return img
}

// begin executes the first instructions of a boot.
func begin(t *testing.T, opts *Options, budget uint64) *Machine {
	t.Helper()
	img := open(t, kernels.Linux612)
	m, err := newMachine(img, opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	require.NoError(t, m.load(opts))
	require.ErrorIs(t, m.run(t.Context(), budget), emu.ErrBudget)
	return m
}

func TestBoot_SameInEveryRun(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	var consoles [2]strings.Builder
	var sums [2][32]byte
	var machines [2]*Machine
	for i := range machines {
		m := begin(t, &Options{CPUs: 2, Console: func(line string) { consoles[i].WriteString(line + "\n") }}, 40_000_000)
		machines[i], sums[i] = m, sha256.Sum256(m.ram[:64<<20])
	}
	a, b := machines[0], machines[1]
	assert.Equal(t, a.Count(), b.Count())
	assert.Equal(t, a.now, b.now)
	assert.Equal(t, *a.cpus[0].Regs(), *b.cpus[0].Regs())
	assert.Equal(t, sums[0], sums[1], "the kernel and what lies behind it")
	assert.Equal(t, consoles[0].String(), consoles[1].String())
	assert.Contains(t, consoles[0].String(), "Booting Linux on physical CPU")
}

func TestBoot_PanicIsTheKernelsOwnWords(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	var console []string
	// The command line takes the device tree's memory away, so nothing can be allocated.
	_, err := Boot(t.Context(), open(t, kernels.Linux612), &Options{
		Append: "mem=40M", Console: func(line string) { console = append(console, line) },
	})
	var stop *StopError
	require.ErrorAs(t, err, &stop)
	assert.True(t, stop.Reset)
	assert.NotEmpty(t, stop.Panic)
	assert.Contains(t, strings.Join(console, "\n"), panicWords+stop.Panic)
	assert.Contains(t, strings.Join(console, "\n"), stop.Oops)
	require.ErrorContains(t, err, ", in start_kernel, ")
	var run *kernel.RunError
	require.ErrorAs(t, err, &run)
	assert.Contains(t, strings.Join(run.Callers, "\n"), "panic+")
}

func TestBoot_EndsWithItsBudget(t *testing.T) {
	_, err := Boot(t.Context(), open(t, kernels.Linux612), &Options{Budget: 1000})
	require.ErrorIs(t, err, emu.ErrBudget)
	var run *kernel.RunError
	require.ErrorAs(t, err, &run)
	assert.NotEmpty(t, run.PC)
}

func TestBoot_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Boot(ctx, open(t, kernels.Linux612), nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestBoot_RefusesWhatItCannotBoot(t *testing.T) {
	builtin, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	_, err = Boot(t.Context(), builtin, nil)
	require.ErrorIs(t, err, errno.ENOEXEC)
	for _, n := range []int{-1, MaxCPUs + 1} {
		_, err := Boot(t.Context(), open(t, kernels.Linux612), &Options{CPUs: n})
		require.ErrorIs(t, err, errno.EINVAL, n)
	}
}
