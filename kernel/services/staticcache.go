package services

import (
	"slices"
	"strings"
	"sync"

	"callops/emu"
	"callops/kernelimage"
)

// staticCache is a cache that the kernel makes at boot and keeps in a variable.
type staticCache struct {
	variable, name string
	size           func(z *kernelimage.ObjectSizes) int
	aligned        bool // to its size
	ctor           string
	callers        []string // that allocate from it, where the variable has no symbol
}

// staticCaches are those whose variable is NULL in a kernel that was not booted and
// whose objects are a structure (lib/radix-tree.c, lib/maple_tree.c,
// kernel/trace/trace_events.c, kernel/fork.c, kernel/cred.c).
var staticCaches = [...]staticCache{
	{variable: "radix_tree_node_cachep", name: "radix_tree_node", size: func(z *kernelimage.ObjectSizes) int { return z.XANode }, ctor: "radix_tree_node_ctor",
		callers: []string{"radix_tree_node_alloc", "__radix_tree_preload", "xas_alloc", "xas_nomem", "__xas_nomem", "xas_split_alloc"}},
	{variable: "maple_node_cache", name: "maple_node", size: func(z *kernelimage.ObjectSizes) int { return z.MapleNode }, aligned: true,
		callers: []string{"mas_alloc_nodes", "mt_alloc_one", "mt_alloc_bulk", "mas_dup_alloc", "mas_dup_build"}},
	{variable: "field_cachep", name: "ftrace_event_field", size: func(z *kernelimage.ObjectSizes) int { return z.EventField },
		callers: []string{"__trace_define_field"}},
	{variable: "file_cachep", name: "trace_event_file", size: func(z *kernelimage.ObjectSizes) int { return z.EventFile },
		callers: []string{"trace_create_new_event"}},
	{variable: "task_struct_cachep", name: "task_struct", size: func(z *kernelimage.ObjectSizes) int { return z.Task },
		callers: []string{"alloc_task_struct_node", "dup_task_struct"}},
	{variable: "files_cachep", name: "files_cache", size: func(z *kernelimage.ObjectSizes) int { return z.Files },
		callers: []string{"dup_fd"}},
	{variable: "fs_cachep", name: "fs_cache", size: func(z *kernelimage.ObjectSizes) int { return z.FS },
		callers: []string{"copy_fs_struct"}},
	{variable: "cred_jar", name: "cred_jar", size: func(z *kernelimage.ObjectSizes) int { return z.Cred },
		callers: []string{"cred_alloc_blank", "prepare_creds", "prepare_kernel_cred"}},
}

// staticCaches makes the caches that boot would have made, and has their variables
// point to them.
func (s *Services) staticCaches() error {
	for i := range staticCaches {
		variable, err := s.k.Symbols.Lookup(staticCaches[i].variable)
		if err != nil || variable.Func {
			continue
		}
		if was, err := s.k.Mem.Load64(variable.Addr); err != nil || was != 0 {
			continue
		}
		k, err := s.staticCache(&staticCaches[i])
		if err != nil {
			return err
		}
		if k == nil {
			continue
		}
		if err := s.k.Mem.Store64(variable.Addr, k.addr); err != nil {
			return err
		}
	}
	return nil
}

// staticCache makes a cache; nil where the kernel does not have what it holds.
func (s *Services) staticCache(c *staticCache) (*cache, error) {
	size := uint64(c.size(&s.k.Layout.Slab.Sizes))
	k := &cache{name: c.name, size: size, align: minAlign, static: true}
	if size == 0 || c.aligned && size&(size-1) != 0 {
		return nil, nil
	}
	if c.aligned {
		k.align = size
	}
	if c.ctor != "" {
		ctor, err := s.k.Symbols.Lookup(c.ctor)
		if err != nil || !ctor.Func {
			return nil, nil
		}
		k.ctor = ctor.Addr
	}
	room := s.cacheRoom()
	var err error
	if k.addr, err = s.k.AllocData("callops_cache_"+c.name, room+uint64(len(c.name))+1, emu.Read|emu.Write); err != nil {
		return nil, err
	}
	return k, s.addCache(k, 0, room)
}

// bootCache is the cache that a function means whose own variable, which has no symbol
// that callops could find it by, is NULL; nil: it is none of staticCaches.
func (c *request) bootCache() (*cache, error) {
	in, _, ok := c.s.k.Symbols.At(c.cpu.Regs().X[30] - insnSize)
	if !ok {
		return nil, nil
	}
	name, _, _ := strings.Cut(in.Name, ".") // a clone
	i := slices.IndexFunc(staticCaches[:], func(s staticCache) bool { return slices.Contains(s.callers, name) })
	if i < 0 {
		return nil, nil
	}
	boot := &c.s.boot[i]
	boot.once.Do(func() { boot.cache, boot.err = c.s.staticCache(&staticCaches[i]) })
	return boot.cache, boot.err
}

// bootCaches are those of staticCaches that were made when they were first used.
type bootCaches [len(staticCaches)]struct {
	once  sync.Once
	cache *cache
	err   error
}
