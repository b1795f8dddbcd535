package services

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// vmallocRows is vmalloc and its variants (mm/vmalloc.c). What maps pages or lays out
// addresses by itself ends the call.
var vmallocRows = []row{
	{"vmalloc", []string{ // of x0 bytes
		"vmalloc", "vmalloc_noprof",
		"vmalloc_node", "vmalloc_node_noprof",
		"vmalloc_32", "vmalloc_32_noprof",
	}, vmalloc(0)},
	{"vmalloc", []string{
		"vzalloc", "vzalloc_noprof",
		"vzalloc_node", "vzalloc_node_noprof",
		"vmalloc_user", "vmalloc_user_noprof",
		"vmalloc_32_user", "vmalloc_32_user_noprof",
	}, vmalloc(gfpZero)},
	{"vmalloc", []string{
		"vmalloc_huge", "vmalloc_huge_noprof", "vmalloc_huge_node_noprof",
		"__vmalloc", "__vmalloc_noprof",
	}, serving(func(c *request) (uint64, error) { return c.vmalloc(c.args[0], 0, c.flags(1)) })},
	// (size, align, gfp, node, caller)
	{"vmalloc", []string{"__vmalloc_node", "__vmalloc_node_noprof"}, serving(func(c *request) (uint64, error) {
		return c.vmalloc(c.args[0], c.args[1], c.flags(2))
	})},
	{"vmalloc", []string{"vrealloc_noprof"}, serving(func(c *request) (uint64, error) { return c.vrealloc(0, c.flags(2)) })},
	{"vmalloc", []string{"vrealloc_node_align_noprof"}, serving(func(c *request) (uint64, error) { return c.vrealloc(c.args[2], c.flags(3)) })},
	{"vmalloc", []string{"vfree", "vfree_atomic"}, serving(vfree)},
	{"vmalloc", []string{
		"__vmalloc_node_range", "__vmalloc_node_range_noprof",
		"get_vm_area", "get_vm_area_caller", "__get_vm_area_caller", "vmap", "vm_map_ram",
	}, noAllocator},
}

func vmalloc(flags gfp) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) { return c.vmalloc(c.args[0], 0, flags) })
}

// vmalloc gives out whole pages; NULL for no bytes.
func (c *request) vmalloc(size, align uint64, flags gfp) (uint64, error) {
	if align&(align-1) != 0 {
		return 0, fmt.Errorf("%s: alignment %#x: %w", c.r.Name, align, errno.EINVAL)
	}
	if size == 0 || size > c.pageUp(size) {
		return 0, nil
	}
	return c.alloc(object{size: size, kind: ofVmalloc}, max(align, c.pageSize()), flags)
}

// vrealloc is vrealloc(p, size, flags).
func (c *request) vrealloc(align uint64, flags gfp) (uint64, error) {
	old, size := c.args[0], c.args[1]
	if align&(align-1) != 0 {
		return 0, fmt.Errorf("%s: alignment %#x: %w", c.r.Name, align, errno.EINVAL)
	}
	if size == 0 {
		return 0, c.free(old, ofVmalloc)
	}
	return c.realloc(old, object{size: size, kind: ofVmalloc}, max(align, c.pageSize()), flags, ofVmalloc)
}

func vfree(c *request) (uint64, error) { return 0, c.free(c.args[0], ofVmalloc) }
