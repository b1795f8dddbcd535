package kernelimage

import (
	"slices"

	"github.com/cilium/ebpf/btf"

	"callops/kernelimage/ctype"
)

// slab is what the types tell of the allocators. What they do not is absent: no
// function of ftrace depends on it.
func (t *btfTypes) slab() SlabLayout {
	cache, args, page := t.optional("kmem_cache"), t.optional("kmem_cache_args"), t.optional("page")
	s := SlabLayout{
		Cache: CacheLayout{
			Size: sizeOf(cache), Flags: t.find(cache, "flags"), ObjSize: t.find(cache, "size"), ObjectSize: t.find(cache, "object_size"),
			Inuse: t.find(cache, "inuse"), Align: t.find(cache, "align"), RefCount: t.find(cache, "refcount"), Ctor: t.find(cache, "ctor"),
			Name: t.find(cache, "name"),
		},
		Page: StructPageLayout{Size: sizeOf(page), RefCount: t.find(page, "_refcount"), MapCount: t.find(page, "_mapcount")},
		Args: CacheArgsLayout{Align: t.find(args, "align"), Ctor: t.find(args, "ctor")},
		Flags: AllocFlags{
			KmallocNode:      t.flagsArg("__kmalloc_node_noprof", "__kmalloc_node"),
			KmallocNodeTrack: t.flagsArg("__kmalloc_node_track_caller_noprof", "__kmalloc_node_track_caller"),
			KvmallocNode:     t.flagsArg("__kvmalloc_node_noprof", "kvmalloc_node_noprof", "kvmalloc_node"),
			Kvrealloc:        t.flagsArg("kvrealloc_noprof", "kvrealloc"),
		},
		Sizes: ObjectSizes{
			XANode: t.sizeNamed("xa_node"), MapleNode: t.sizeNamed("maple_node"),
			EventField: t.sizeNamed("ftrace_event_field"), EventFile: t.sizeNamed("trace_event_file"),
			Task: t.sizeNamed("task_struct"), Files: t.sizeNamed("files_struct"), FS: t.sizeNamed("fs_struct"),
			Cred: t.sizeNamed("cred"), VMA: t.sizeNamed("vm_area_struct"), Pid: t.sizeNamed("pid"),
		},
	}
	var bits *btf.Enum
	s.OldFlags = t.spec.TypeByName("_slab_flag_bits", &bits) != nil
	if !s.plausible() {
		return SlabLayout{}
	}
	return s
}

// plausible bounds what a damaged BTF may say.
func (s *SlabLayout) plausible() bool {
	const most = 1 << 16
	c := &s.Cache
	for _, off := range []int{c.Flags, c.ObjSize, c.ObjectSize, c.Inuse, c.Align, c.RefCount, c.Ctor, c.Name} {
		if off != Absent && (off < 0 || off > c.Size-4 || off%4 != 0) {
			return false
		}
	}
	for _, off := range []int{s.Args.Align, s.Args.Ctor} {
		if off != Absent && (off < 0 || off > most) {
			return false
		}
	}
	for _, off := range []int{s.Page.RefCount, s.Page.MapCount} {
		if off != Absent && (off < 0 || off > s.Page.Size-4 || off%4 != 0) {
			return false
		}
	}
	z := &s.Sizes
	sizes := []int{c.Size, s.Page.Size, z.XANode, z.MapleNode, z.EventField, z.EventFile, z.Task, z.Files, z.FS, z.Cred, z.VMA, z.Pid}
	return !slices.ContainsFunc(sizes, func(n int) bool { return n < 0 || n > most })
}

// optional finds a structure that there need not be.
func (t *btfTypes) optional(name string) *btf.Struct {
	var s *btf.Struct
	if t.spec.TypeByName(name, &s) != nil {
		return nil
	}
	return s
}

func (t *btfTypes) sizeNamed(name string) int { return sizeOf(t.optional(name)) }

// flagsArg is the register that the gfp_t of the first of the functions that there is
// comes in: an unsigned int, the only one in front of a node or a caller.
func (t *btfTypes) flagsArg(names ...string) int {
	for _, name := range names {
		p, err := t.prototype(name)
		if err != nil {
			continue
		}
		return slices.IndexFunc(p.Params, func(a ctype.Type) bool { return a == ctype.Type{Kind: ctype.Int, Size: 4} })
	}
	return Absent
}
