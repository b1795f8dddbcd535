package services

import "github.com/stretchr/testify/assert"

func testPerCPU(m *machine) {
	alloc := m.first("pcpu_alloc_noprof", "pcpu_alloc")
	offset := m.CPUs[0].PerCPU
	p := m.call(alloc, 100, 64, 0, gfpKernel)
	assert.Zero(m.t, p%64)
	assert.Equal(m.t, make([]byte, 100), m.read(p+offset, 100), "zeroed")
	for _, none := range [][2]uint64{{0, 8}, {32<<10 + 1, 8}, {8, 24}, {8, 1 << 20}} {
		assert.Zero(m.t, m.call(alloc, none[0], none[1], 0, gfpKernel), none)
	}
	_, err := m.try("kfree", p+offset)
	assert.ErrorContains(m.t, err, "which is the per-CPU allocator's")
	_, err = m.try("free_percpu", p+8)
	assert.ErrorContains(m.t, err, "where no object of an allocator begins")
	m.call("free_percpu", p)
	_, err = m.try("free_percpu", p)
	assert.ErrorContains(m.t, err, "double free: free_percpu of 0x")
	m.call("free_percpu", 0)
	m.FailAlloc(1)
	assert.Zero(m.t, m.call(alloc, 8, 8, 0, gfpKernel))
}
