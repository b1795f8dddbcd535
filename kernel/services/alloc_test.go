package services

import (
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/kernel"
)

func testAllocating(m *machine) {
	for _, c := range []struct {
		fn     string
		args   []uint64
		caller string // begins with; "": the call itself
	}{
		{m.first("kmem_cache_alloc_noprof", "kmem_cache_alloc"), []uint64{0, gfpKernel}, ""},
		{"split_page", []uint64{0, 0}, ""},
		{"vmap", []uint64{0, 0, 0, 0}, ""},
		{"get_vm_area", []uint64{100, 0}, ""},
	} {
		before := *m.CPUs[0].Regs()
		_, err := m.try(c.fn, c.args...)
		require.ErrorIs(m.t, err, errno.ENOSYS, c.fn)
		var none *NoAllocatorError
		require.ErrorAs(m.t, err, &none)
		assert.True(m.t, strings.HasPrefix(none.Caller, c.caller) && (none.Caller == "") == (c.caller == ""), "%s: %v", c.fn, err)
		var run *kernel.RunError
		require.ErrorAs(m.t, err, &run)
		assert.True(m.t, strings.HasPrefix(run.PC, none.Func+"+0x"), "%s: stopped in %s", c.fn, run.PC)
		if c.caller != "" {
			assert.Equal(m.t, none.Caller, run.Callers[0])
		}
		assert.Equal(m.t, before, *m.CPUs[0].Regs(), "the CPU can be used as before")
	}
}

// From 6.10 on the name of every function that allocates for its caller ends so. What
// is not replaced calls what is.
func testNoneForgotten(m *machine) {
	allocates := regexp.MustCompile(`^[a-z_0-9]+_noprof$`)
	wrappers := []string{
		"__vmalloc_array_noprof", "vmalloc_array_noprof", "__vcalloc_noprof", "vcalloc_noprof", "kmemdup_noprof",
		"filemap_alloc_folio_noprof", "rhashtable_init_noprof", "rhltable_init_noprof", "__rhashtable_init_noprof", "__rhltable_init_noprof",
		"mempool_init_noprof", "mempool_create_node_noprof", "mempool_alloc_noprof", "mempool_alloc_bulk_noprof",
		"alloc_workqueue_attrs_noprof", "alloc_workqueue_noprof", "devm_alloc_workqueue_noprof", "_kzalloc_noprof",
	}
	var replaced []string
	for _, r := range m.Replaced() {
		replaced = append(replaced, r.Name)
	}
	for _, sym := range m.Image.Symbols() {
		if sym.Func && allocates.MatchString(sym.Name) && !slices.Contains(wrappers, sym.Name) {
			assert.True(m.t, slices.Contains(replaced, sym.Name), sym.Name)
		}
	}
}
