package services

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/kernel"
)

func TestInstall_FailsTheAllocationOfItsOptions(t *testing.T) {
	k, err := kernel.Boot(linux(t, kernels.Linux612), interp.New, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	var failed []FailedAlloc
	s, err := Install(k, &Options{FailAlloc: 2, AllocFailed: func(f FailedAlloc) { failed = append(failed, f) }})
	require.NoError(t, err)
	m := &machine{k, s, new([]Line), t}
	var got []bool
	for range 4 {
		got = append(got, m.kmalloc(100) != 0)
	}
	assert.Equal(t, []bool{true, false, true, true}, got)
	require.Len(t, failed, 1)
	assert.EqualValues(t, 2, failed[0].N)
	assert.Contains(t, failed[0].String(), "allocation 2 failed: __kmalloc_noprof of 100 bytes")
}

func testFailAlloc(m *machine) {
	var failed []FailedAlloc
	m.failing.report = func(f FailedAlloc) { failed = append(failed, f) } // as Options.AllocFailed
	defer func() { m.failing.report = nil }()
	kmalloc := m.first("__kmalloc_noprof", "__kmalloc")
	before := m.Allocations()
	m.FailAlloc(2)
	assert.NotZero(m.t, m.kmalloc(10))
	assert.EqualValues(m.t, zeroSizePtr, m.kmalloc(0), "no allocation")
	assert.NotZero(m.t, m.call(kmalloc, 10, gfpKernel|uint64(gfpNoFail)), "must not fail, and is not counted")
	assert.Zero(m.t, m.call("kstrdup", m.string("hello"), gfpKernel), "the kernel's own code returns NULL")
	assert.NotZero(m.t, m.kmalloc(10), "once")
	assert.EqualValues(m.t, 3, m.Allocations()-before)
	require.Len(m.t, failed, 1)
	assert.EqualValues(m.t, 2, failed[0].N)
	assert.EqualValues(m.t, 6, failed[0].Size)
	assert.True(m.t, strings.HasPrefix(failed[0].Callers[0], "kstrdup+0x"), "%v", failed[0].Callers)
	assert.Contains(m.t, failed[0].String(), " of 6 bytes by kstrdup+0x")

	m.FailAlloc(1)
	m.FailAlloc(0)
	assert.NotZero(m.t, m.kmalloc(10), "disarmed")
	p := m.kmalloc(10)
	m.FailAlloc(1)
	realloc := func(size uint64) uint64 {
		fn := m.first("krealloc_node_align_noprof", "krealloc_noprof", "krealloc")
		if fn == "krealloc_node_align_noprof" {
			return m.call(fn, p, size, 1, gfpKernel, 0)
		}
		return m.call(fn, p, size, gfpKernel)
	}
	assert.Equal(m.t, p, realloc(5), "shrinking does not fail")
	assert.Zero(m.t, realloc(100))
	assert.EqualValues(m.t, 5, m.call("ksize", p), "the old one is still there")
	m.FailAlloc(1)
	assert.Zero(m.t, m.cacheOf("foo", 8, 0, 0))
	m.FailAlloc(1)
	assert.Zero(m.t, m.call(m.first("get_free_pages_noprof", "__get_free_pages"), gfpKernel, 0))
	m.FailAlloc(1)
	assert.Zero(m.t, m.call(m.first("vmalloc_noprof", "vmalloc"), 10))
	assert.Len(m.t, failed, 5)
}
