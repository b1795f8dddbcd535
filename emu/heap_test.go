package emu_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

func newHeap(t *testing.T) (*emu.Memory, *emu.Heap) {
	t.Helper()
	m := newMemory(t)
	r, err := m.Map("heap", base, emu.PageSize, emu.Read|emu.Write)
	require.NoError(t, err)
	return m, emu.NewHeap(m, r)
}

func alloc(t *testing.T, h *emu.Heap, name string, size uint64) uint64 {
	t.Helper()
	addr, err := h.Alloc(name, size)
	require.NoError(t, err)
	return addr
}

func TestAlloc_IsAlignedAndApart(t *testing.T) {
	_, h := newHeap(t)
	var last uint64 = base
	for i, size := range []uint64{1, 16, 17, 0, 8} {
		addr := alloc(t, h, "o", size)
		assert.Zero(t, addr%16)
		if i > 0 {
			assert.GreaterOrEqual(t, addr, last)
		}
		last = addr + size
	}
}

func TestAlloc_FullHeapIsENOMEM(t *testing.T) {
	_, h := newHeap(t)
	for _, size := range []uint64{emu.PageSize + 1, ^uint64(0), 1 << 63} {
		_, err := h.Alloc("huge", size)
		require.ErrorIs(t, err, errno.ENOMEM, "%#x", size)
	}
	alloc(t, h, "all", emu.PageSize)
	_, err := h.Alloc("more", 1)
	require.ErrorIs(t, err, errno.ENOMEM)
	assert.ErrorContains(t, err, "more")
}

func TestFree_PoisonNamesTheObject(t *testing.T) {
	m, h := newHeap(t)
	alloc(t, h, "first", 32)
	ops := alloc(t, h, "ops", 40)
	require.NoError(t, h.Free(ops))
	for off := uint64(0); off < 40; off += 8 {
		v, err := m.Load64(ops + off)
		require.NoError(t, err)
		for _, small := range []uint64{0, 8, 0x1f8} {
			o, ok := h.Poisoned(v + small)
			require.True(t, ok, "%#x", v)
			assert.Equal(t, emu.Object{Name: "ops", Addr: ops, Size: 40, Freed: true}, o)
		}
	}
	_, ok := h.Poisoned(ops)
	assert.False(t, ok, "an ordinary address")
}

func TestFree_OfWhatIsNoLiveObject(t *testing.T) {
	_, h := newHeap(t)
	addr := alloc(t, h, "o", 32)
	require.ErrorIs(t, h.Free(addr+16), errno.EINVAL)
	require.ErrorIs(t, h.Free(0), errno.EINVAL)
	require.NoError(t, h.Free(addr))
	require.ErrorIs(t, h.Free(addr), errno.EINVAL, "twice")
}

func TestAlloc_ReusesOldestFreedAndZeroes(t *testing.T) {
	m, h := newHeap(t)
	var objects []uint64
	for range emu.PageSize / 256 {
		objects = append(objects, alloc(t, h, "o", 256))
	}
	require.NoError(t, h.Free(objects[5]))
	require.NoError(t, h.Free(objects[2]))
	assert.Equal(t, objects[5], alloc(t, h, "again", 100), "freed first")
	w, err := m.ReadWords(objects[5], 14)
	require.NoError(t, err)
	assert.Equal(t, make([]uint64, 14), w)
	assert.Equal(t, objects[2], alloc(t, h, "again", 256))
	o, ok := h.Lookup(objects[5] + 99)
	require.True(t, ok)
	assert.Equal(t, emu.Object{Name: "again", Addr: objects[5], Size: 100}, o)
}

func TestAlloc_FreshMemoryBeforeFreed(t *testing.T) {
	_, h := newHeap(t)
	a := alloc(t, h, "a", 16)
	require.NoError(t, h.Free(a))
	assert.NotEqual(t, a, alloc(t, h, "b", 16), "so that a stale pointer meets poison")
}

func TestLookup_BetweenObjects(t *testing.T) {
	_, h := newHeap(t)
	a := alloc(t, h, "a", 20)
	_, ok := h.Lookup(a + 20)
	assert.False(t, ok)
	_, ok = h.Lookup(a - 1)
	assert.False(t, ok)
	o, ok := h.Lookup(a + 19)
	require.True(t, ok)
	assert.Equal(t, "a", o.Name)
}

func TestAllocAligned_FreshAndReused(t *testing.T) {
	_, h := newHeap(t)
	alloc(t, h, "first", 1)
	aligned, err := h.AllocAligned("aligned", 100, 512)
	require.NoError(t, err)
	assert.Equal(t, uint64(base+512), aligned)
	_, err = h.AllocAligned("next", 1, 2048)
	require.NoError(t, err)
	_, err = h.AllocAligned("none", 1, 4096)
	require.ErrorIs(t, err, errno.ENOMEM, "the heap ends before the next one")
	for _, align := range []uint64{0, 3, 48} {
		_, err = h.AllocAligned("odd", 1, align)
		assert.ErrorIs(t, err, errno.EINVAL)
	}
	_, err = h.AllocAligned("huge", 1, 1<<63)
	assert.ErrorIs(t, err, errno.ENOMEM)

	alloc(t, h, "rest", emu.PageSize-2048-16)
	other := uint64(base)
	require.NoError(t, h.Free(other))
	require.NoError(t, h.Free(aligned))
	again, err := h.AllocAligned("again", 8, 512)
	require.NoError(t, err)
	assert.Equal(t, other, again, "the oldest is aligned as well")
	again, err = h.AllocAligned("again", 8, 512)
	require.NoError(t, err)
	assert.Equal(t, uint64(base+1024), again, "what alignment had left between objects")
}

func TestObserve_TellsOfObjects(t *testing.T) {
	_, h := newHeap(t)
	var told []emu.Object
	h.Observe(func(o emu.Object) { told = append(told, o) })
	addr := alloc(t, h, "o", 24)
	require.NoError(t, h.Free(addr))
	require.Error(t, h.Free(addr))
	h.Observe(nil)
	alloc(t, h, "other", 8)
	assert.Equal(t, []emu.Object{{Name: "o", Addr: addr, Size: 24}, {Name: "o", Addr: addr, Size: 24, Freed: true}}, told)
}

func TestExtend_ObjectsOfBothAreFoundThroughTheFirst(t *testing.T) {
	m, h := newHeap(t)
	r, err := m.Map("more", base+16*emu.PageSize, emu.PageSize, emu.Read|emu.Write)
	require.NoError(t, err)
	more := h.Extend(r)
	r, err = m.Map("most", base+64*emu.PageSize, emu.PageSize, emu.Read|emu.Write)
	require.NoError(t, err)
	most := h.Extend(r)
	var told []emu.Object
	h.Observe(func(o emu.Object) { told = append(told, o) })
	for _, of := range []struct {
		heap *emu.Heap
		name string
	}{{h, "first"}, {more, "more"}, {most, "most"}} {
		alloc(t, of.heap, "before", 32)
		addr := alloc(t, of.heap, of.name, 32)
		o, ok := h.Lookup(addr + 5)
		require.True(t, ok)
		assert.Equal(t, emu.Object{Name: of.name, Addr: addr, Size: 32}, o)
		require.NoError(t, of.heap.Free(addr))
		poison, err := m.Load64(addr + 8)
		require.NoError(t, err)
		o, ok = h.Poisoned(poison + 16)
		require.True(t, ok, of.name)
		assert.Equal(t, emu.Object{Name: of.name, Addr: addr, Size: 32, Freed: true}, o)
	}
	assert.Len(t, told, 9)
	_, ok := h.Lookup(base + 32*emu.PageSize)
	assert.False(t, ok)
	_, ok = h.Poisoned(0xdead<<48 | 0xffff_ffff<<16)
	assert.False(t, ok)
}

// Objects of all sizes come and go for much longer than the heap lasts: none overlaps
// another, each is zeroed, and what was freed last is still known.
func TestHeap_IsUsedUpManyTimes(t *testing.T) {
	m := newMemory(t)
	const size = 256 << 10
	r, err := m.Map("heap", base, size, emu.Read|emu.Write)
	require.NoError(t, err)
	h := emu.NewHeap(m, r)
	rnd := rand.New(rand.NewPCG(1, 2))
	live := make(map[uint64]uint64)
	var order []uint64
	for range 40_000 {
		n, align := 1+rnd.Uint64N(100), uint64(16)
		if rnd.IntN(50) == 0 {
			n, align = 1+rnd.Uint64N(16<<10), 4096
		}
		addr, err := h.AllocAligned("o", n, align)
		require.NoError(t, err)
		require.Zero(t, addr%align)
		b := make([]byte, n)
		require.NoError(t, m.Read(addr, b))
		require.Equal(t, make([]byte, n), b)
		for i := range b {
			b[i] = 0xa5
		}
		require.NoError(t, m.Write(addr, b), "what overlaps is not zero")
		live[addr], order = n, append(order, addr)
		for len(order) > 100 {
			i := rnd.IntN(len(order))
			gone := order[i]
			order = slices.Delete(order, i, i+1)
			b := make([]byte, live[gone])
			require.NoError(t, m.Read(gone, b))
			require.Equal(t, bytes.Repeat([]byte{0xa5}, len(b)), b, "nothing wrote there")
			require.NoError(t, h.Free(gone))
			o, ok := h.Lookup(gone)
			require.True(t, ok)
			require.Equal(t, emu.Object{Name: "o", Addr: gone, Size: live[gone], Freed: true}, o)
			delete(live, gone)
		}
	}
	for _, addr := range order {
		require.NoError(t, h.Free(addr))
	}
	_, err = h.Alloc("all", size)
	require.NoError(t, err, "freed neighbours are one")
}

func TestAllocZoned_NothingLiesRightAfterIt(t *testing.T) {
	m, h := newHeap(t)
	for _, size := range []uint64{1, 8, 16, 17} {
		addr, err := h.AllocZoned("zoned", size, 16, 8)
		require.NoError(t, err)
		next := alloc(t, h, "next", 1)
		assert.GreaterOrEqual(t, next, addr+size+8)
		_, ok := h.Lookup(addr + size)
		assert.False(t, ok, "the zone is not the object")
		require.NoError(t, h.Free(addr))
		v, err := m.Load64(next - 8)
		require.NoError(t, err)
		_, ok = h.Poisoned(v)
		assert.True(t, ok)
	}
	_, err := h.AllocZoned("zoned", 8, 16, ^uint64(0)-4)
	require.ErrorIs(t, err, errno.ENOMEM)
}
