package guestcore

import (
	"maps"
	"slices"

	"callops/asm/refs"
	"callops/kernel"
	"callops/kernelimage"
)

// Without CONFIG_KALLSYMS_ALL variables have no symbols. They are found by what the kernel's own
// functions do with them (kernel/trace/ftrace.c), and only where that is the same variable
// in all of the functions, and no other.

// finder looks at the kernel's functions.
type finder struct {
	k    *kernel.Kernel
	seen map[string][]refs.Ref // by function
}

func newFinder(k *kernel.Kernel) *finder { return &finder{k: k, seen: make(map[string][]refs.Ref)} }

// of returns what a function uses; nothing where there is no such function.
func (f *finder) of(fn string) []refs.Ref {
	if found, ok := f.seen[fn]; ok {
		return found
	}
	var found []refs.Ref
	if sym, err := f.k.Symbols.Lookup(fn); err == nil {
		if sym, _, ok := f.k.Symbols.At(sym.Addr); ok {
			found = refs.Of(f.k.Image.Word, sym.Addr, sym.Addr+sym.Size)
		}
	}
	f.seen[fn] = found
	return found
}

// where returns the addresses that a function uses so, in ascending order.
func (f *finder) where(fn string, want func(refs.Ref) bool) []uint64 {
	found := make(map[uint64]bool)
	for _, r := range f.of(fn) {
		if want(r) {
			found[r.Addr] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// oneOf is where for the first of the functions that uses any.
func (f *finder) oneOf(want func(refs.Ref) bool, fns ...string) (found []uint64) {
	for _, fn := range fns {
		if found = f.where(fn, want); len(found) > 0 {
			break
		}
	}
	return found
}

func loads(size int) func(refs.Ref) bool {
	return func(r refs.Ref) bool { return r.Kind == refs.Load && r.Size == size }
}

// storesInt is an int that is set to a constant.
func storesInt(v uint64) func(refs.Ref) bool {
	return func(r refs.Ref) bool { return r.Kind == refs.Store && r.Size == 4 && r.Known && r.Value == v }
}

// both are the addresses in two lists.
func both(a, b []uint64) []uint64 {
	return slices.DeleteFunc(a, func(v uint64) bool { return !slices.Contains(b, v) })
}

// variables are the rules. Each returns candidates, of which there has to be one.
var variables = []struct {
	name  string
	field func(*symbols) *uint64
	find  func(*finder) []uint64
}{
	// iter->pg = ftrace_pages_start.
	{"ftrace_pages_start", func(s *symbols) *uint64 { return &s.pages }, func(f *finder) []uint64 {
		return both(f.where("ftrace_enabled_open", loads(8)), f.where("ftrace_avail_open", loads(8)))
	}},
	// ftrace_kill() sets ftrace_disabled, and clears ftrace_enabled.
	{"ftrace_enabled", func(s *symbols) *uint64 { return &s.enabled }, func(f *finder) []uint64 {
		return f.where("ftrace_kill", storesInt(0))
	}},
	// ftrace_init() sets both, and ftrace_disabled where it fails.
	{"last_ftrace_enabled", func(s *symbols) *uint64 { return &s.lastEnabled }, func(f *finder) []uint64 {
		others := append(f.where("ftrace_kill", storesInt(0)), f.where("ftrace_is_dead", loads(4))...)
		return slices.DeleteFunc(f.where("ftrace_init", storesInt(1)), func(v uint64) bool { return slices.Contains(others, v) })
	}},
	// list_for_each_entry(tr, &ftrace_trace_arrays, list).
	{"ftrace_trace_arrays", func(s *symbols) *uint64 { return &s.traceArrays }, func(f *finder) []uint64 {
		return f.where("trace_array_find", loads(8))
	}},
	{"tracing_disabled", func(s *symbols) *uint64 { return &s.tracingOff }, func(f *finder) []uint64 {
		return f.oneOf(loads(4), "tracing_is_disabled", "tracing_check_open_get_tr", "tracing_check_open_get_tr.part.0")
	}},
	// list_for_each_entry(mod, &modules, list).
	{"modules", func(s *symbols) *uint64 { return &s.modules }, func(f *finder) []uint64 {
		return f.where("find_module_all", loads(8))
	}},
	{"mod_tree", func(s *symbols) *uint64 { return &s.modTree }, (*finder).modTree},
	// is_kernel_core_data() compares with _sdata, _edata, __bss_start and __bss_stop.
	{"_sdata", func(s *symbols) *uint64 { return &s.sdata }, func(f *finder) []uint64 { return f.coreData(0) }},
	{"_edata", func(s *symbols) *uint64 { return &s.edata }, func(f *finder) []uint64 { return f.coreData(1) }},
	{"init_stack", func(s *symbols) *uint64 { return &s.initStack }, (*finder).initStack},
}

// coreData is one of the ends of the kernel's data, and of its .bss.
func (f *finder) coreData(n int) []uint64 {
	ends := f.where("__register_ftrace_function", func(r refs.Ref) bool {
		return r.Kind == refs.Compare && f.k.Image.Bounds().Contains(r.Addr-1)
	})
	if len(ends) != 4 {
		return nil
	}
	return ends[n : n+1]
}

// modTree is what __module_address() loads addr_min and addr_max of.
func (f *finder) modTree() (found []uint64) {
	t := &f.k.Layout.Core.Mod.Tree
	if t.AddrMin == kernelimage.Absent || t.AddrMax == kernelimage.Absent {
		return nil
	}
	bounds := f.where("__module_address", loads(8))
	for _, at := range bounds {
		if tree := at - uint64(t.AddrMin); slices.Contains(bounds, tree+uint64(t.AddrMax)) {
			found = append(found, tree)
		}
	}
	return found
}

// initStack is the stack of the task that the CPU that boots starts with.
func (f *finder) initStack() (found []uint64) {
	sdata, edata := f.coreData(0), f.coreData(1)
	if len(sdata) == 0 {
		return nil
	}
	data := kernelimage.Range{Start: sdata[0], End: edata[0]}
	for _, at := range f.where("__primary_switched", loads(8)) {
		stack, err := f.k.Mem.Load64(at)
		if err == nil && data.Contains(at-uint64(f.k.Layout.Task.Stack)) && data.Contains(stack) && stack%f.k.Image.ThreadSize() == 0 {
			found = append(found, stack)
		}
	}
	return found
}

// variables finds what has no symbol.
func (f *finder) variables(s *symbols) {
	for _, v := range variables {
		if at := v.field(s); *at == 0 {
			*at = f.find(v.find)
		}
	}
}

// find is the address that a rule leads to; 0 for none, and for several.
func (f *finder) find(rule func(*finder) []uint64) uint64 {
	if found := rule(f); len(found) == 1 {
		return found[0]
	}
	return 0
}
