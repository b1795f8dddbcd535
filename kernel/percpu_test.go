package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestAllocPerCPU_EachCPUHasItsOwn(t *testing.T) {
	k, err := Boot(builtin(t, nil), newStill, &BootOptions{CPUs: 3})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	require.ErrorIs(t, k.FreePerCPU(0), errno.EINVAL)
	a, err := k.AllocPerCPU("a", 24, 16)
	require.NoError(t, err)
	b, err := k.AllocPerCPU("b", 24, 256)
	require.NoError(t, err)
	for i, c := range k.CPUs {
		assert.Zero(t, (b+c.PerCPU)%256)
		require.NoError(t, k.Mem.Store64(a+c.PerCPU, uint64(i)))
		require.NoError(t, k.Mem.Store64(b+c.PerCPU, uint64(10+i)))
	}
	o, ok := k.Heap.Lookup(b + k.CPUs[0].PerCPU)
	require.True(t, ok)
	assert.Equal(t, "b", o.Name)
	require.NoError(t, k.FreePerCPU(a))
	require.ErrorIs(t, k.FreePerCPU(a), errno.EINVAL, "twice")
	for i, c := range k.CPUs {
		v, err := k.Mem.Load64(b + c.PerCPU)
		require.NoError(t, err)
		assert.EqualValues(t, 10+i, v)
		v, err = k.Mem.Load64(a + c.PerCPU)
		require.NoError(t, err)
		o, ok := k.Heap.Poisoned(v)
		require.True(t, ok, "%d: %#x", i, v)
		assert.Equal(t, "a", o.Name)
	}
	for err == nil {
		a, err = k.AllocPerCPU("more", 32<<10, 16)
		for _, c := range k.CPUs {
			v, bad := k.Mem.Load64(a + c.PerCPU)
			assert.True(t, err != nil || v == 0 && bad == nil)
		}
	}
	assert.ErrorIs(t, err, errno.ENOMEM)
}
