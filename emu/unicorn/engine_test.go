//go:build cgo

package unicorn

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

func TestRun_RegionBeyond48BitsIsEINVAL(t *testing.T) {
	for _, base := range []uint64{1 << 48, 0xdead_0000_0000_0000, 0xfffe_0000_0000_0000} {
		mem := emu.NewMemory()
		_, err := mem.Map("far", base, emu.PageSize, emu.Read)
		require.NoError(t, err)
		e, err := New(mem)
		require.NoError(t, err)
		cpu, err := e.NewCPU(0)
		require.NoError(t, err)
		_, err = cpu.Run(context.Background(), 1)
		require.ErrorIs(t, err, errno.EINVAL, "%#x", base)
		require.NoError(t, e.Close())
		require.NoError(t, mem.Close())
	}
}

func TestEngine_AbandonedOneIsFreed(t *testing.T) {
	freed := make(chan struct{})
	func() {
		mem := emu.NewMemory()
		e, err := New(mem)
		require.NoError(t, err)
		_, err = e.NewCPU(0)
		require.NoError(t, err)
		runtime.AddCleanup(e.(*Engine), func(c chan struct{}) { close(c) }, freed)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
}

func TestChanges_NeighboursBecomeOneSpan(t *testing.T) {
	var c changes
	for i := range uint64(1000) {
		c.add(0x1000+4*i, 4)
	}
	c.add(0x9000, 4)
	c.add(0xa000, 0)
	assert.Equal(t, []span{{0x1000, 4000}, {0x9000, 4}}, dropped(t, &c, nil))
	assert.Empty(t, dropped(t, &c, nil), "once")
}

func TestChanges_ManySpansDropAllText(t *testing.T) {
	regions := []*emu.Region{
		{Base: 0x1000, Size: 0x2000, Perm: emu.Read | emu.Exec},
		{Base: 0x8000, Size: 0x1000, Perm: emu.Read | emu.Write},
	}
	var c changes
	for i := range uint64(maxSpans + 1) {
		c.add(0x1000+8*i, 4)
	}
	assert.Equal(t, []span{{0x1000, 0x2000}}, dropped(t, &c, regions))
	assert.Empty(t, dropped(t, &c, regions), "once")
}

func dropped(t *testing.T, c *changes, regions []*emu.Region) (spans []span) {
	t.Helper()
	require.NoError(t, c.drop(regions, func(addr, size uint64) error {
		spans = append(spans, span{addr, size})
		return nil
	}))
	return spans
}

// ending is a context that ends once it has been asked a number of times.
type ending struct {
	context.Context
	asked int
}

func (c *ending) Err() error {
	if c.asked--; c.asked < 0 {
		return context.Canceled
	}
	return nil
}

func TestRun_MappingRegionsEndsWithTheContext(t *testing.T) {
	mem := emu.NewMemory()
	defer mem.Close()
	for i := range uint64(20) {
		_, err := mem.Map("page", 0x10000+i<<16, emu.PageSize, emu.Read|emu.Exec)
		require.NoError(t, err)
	}
	require.NoError(t, mem.Store32(0x10000, 0xd503201f)) // NOP
	e, err := New(mem)
	require.NoError(t, err)
	defer e.Close()
	cpu, err := e.NewCPU(0)
	require.NoError(t, err)
	cpu.Regs().PC = 0x10000
	_, err = cpu.Run(&ending{t.Context(), 5}, 1)
	require.ErrorIs(t, err, context.Canceled)
	assert.Len(t, cpu.(*CPU).mapped, 4)
	assert.EqualValues(t, 0x10000, cpu.Regs().PC)

	_, err = cpu.Run(t.Context(), 1)
	require.NoError(t, err)
	assert.Len(t, cpu.(*CPU).mapped, 20, "the next run maps the others")
	assert.EqualValues(t, 0x10004, cpu.Regs().PC)
}
