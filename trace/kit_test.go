package trace

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

// forEngines runs a test on every engine of this build.
func forEngines(t *testing.T, f func(t *testing.T, newEngine emu.NewEngine)) {
	t.Helper()
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) { f(t, e.New) })
	}
}

// rig is a kernel with the function tracer.
type rig struct {
	t *testing.T
	k *kernel.Kernel
	c *trampolines.Code
	l *kernelimage.Layout
}

func boot(t *testing.T, newEngine emu.NewEngine, cpus int) *rig {
	t.Helper()
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	return bootImage(t, newEngine, img, cpus)
}

func bootImage(t *testing.T, newEngine emu.NewEngine, img *kernelimage.Image, cpus int) *rig {
	t.Helper()
	k, err := kernel.Boot(img, newEngine, &kernel.BootOptions{CPUs: cpus})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	c, err := trampolines.Install(k, &trampolines.Options{CallOps: true})
	require.NoError(t, err)
	return &rig{t: t, k: k, c: c, l: k.Layout}
}

func (r *rig) put64(addr, v uint64) {
	r.t.Helper()
	require.NoError(r.t, r.k.Mem.Store64(addr, v))
}

func (r *rig) get64(addr uint64) uint64 {
	r.t.Helper()
	v, err := r.k.Mem.Load64(addr)
	require.NoError(r.t, err)
	return v
}

// traceCalls calls the function tracer n times, with ip counting up from first.
func (r *rig) traceCalls(cpu int, first, n uint64) {
	r.t.Helper()
	for i := range n {
		_, err := r.k.Call(context.Background(), cpu, nil, r.c.FunctionTracer, first+i, first+i+1000, 0, 0)
		require.NoError(r.t, err)
	}
}

// requireIdle asserts that the task is as it was before anything was traced.
func (r *rig) requireIdle() {
	r.t.Helper()
	task := r.k.CPUs[0].Task
	require.EqualValues(r.t, uint64(1)<<32, r.get64(task+uint64(r.l.Task.PreemptCount)), "preempt_count")
	require.Zero(r.t, r.get64(task+uint64(r.l.Task.TraceRecursion)), "trace_recursion")
}
