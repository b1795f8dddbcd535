package textdiff

import (
	"cmp"
	"slices"
	"strings"

	"callops/kernelimage"
)

// file is a source file of ftrace, and entry points that are defined in it.
type file struct {
	name  string
	roots []string
}

// files are the sources whose functions are compared. Of the roots those count that a
// kernel has: they are of 6.1 to 7.x.
var files = []file{
	{"arch/arm64/kernel/entry-ftrace.S", []string{
		"ftrace_caller", "ftrace_regs_caller", "ftrace_common", "ftrace_stub", "ftrace_stub_graph", "ftrace_stub_direct_tramp",
		"return_to_handler",
	}},
	{"arch/arm64/kernel/ftrace.c", []string{
		"ftrace_call_adjust", "arch_ftrace_get_symaddr", "ftrace_update_ftrace_func", "ftrace_make_call", "ftrace_make_nop", "ftrace_init_nop",
		"ftrace_modify_call", "arch_ftrace_update_code", "prepare_ftrace_return", "ftrace_graph_func", "ftrace_regs_query_register_offset",
	}},
	{"arch/arm64/kernel/patching.c", []string{
		"aarch64_insn_read", "aarch64_insn_write", "aarch64_insn_write_literal_u64", "aarch64_insn_copy", "aarch64_insn_set",
		"aarch64_insn_patch_text_nosync", "aarch64_insn_patch_text",
	}},
	{"arch/arm64/lib/insn.c", []string{
		"aarch64_insn_decode_immediate", "aarch64_insn_encode_immediate", "aarch64_insn_gen_branch_imm", "aarch64_insn_gen_comp_branch_imm",
		"aarch64_insn_gen_hint", "aarch64_insn_gen_branch_reg", "aarch64_get_branch_offset", "aarch64_set_branch_offset",
	}},
	{"kernel/trace/ftrace.c", []string{
		"ftrace_pids_enabled", "ftrace_ops_list_func", "arch_ftrace_ops_list_func", "ftrace_ops_assist_func", "ftrace_ops_get_func",
		"register_ftrace_function", "unregister_ftrace_function", "ftrace_startup", "ftrace_shutdown", "ftrace_kill", "ftrace_is_dead",
		"ftrace_set_filter", "ftrace_set_filter_ip", "ftrace_set_filter_ips", "ftrace_set_notrace", "ftrace_set_global_filter",
		"ftrace_set_global_notrace", "ftrace_free_filter", "ftrace_ops_init", "ftrace_ops_set_global_filter",
		"register_ftrace_direct", "unregister_ftrace_direct", "modify_ftrace_direct", "modify_ftrace_direct_nolock",
		"update_ftrace_direct_add", "update_ftrace_direct_del", "update_ftrace_direct_mod", "ftrace_find_rec_direct",
		"ftrace_init", "ftrace_process_locs", "ftrace_module_init", "ftrace_module_enable", "ftrace_release_mod", "ftrace_free_mem",
		"ftrace_free_init_mem", "ftrace_location", "ftrace_location_range", "ftrace_text_reserved", "ftrace_replace_code",
		"ftrace_modify_all_code", "ftrace_run_stop_machine", "ftrace_bug", "ftrace_get_addr_new", "ftrace_get_addr_curr",
		"ftrace_update_record", "ftrace_test_record", "alloc_ftrace_hash", "free_ftrace_hash", "ftrace_lookup_ip",
		"ftrace_startup_subops", "ftrace_shutdown_subops", "ftrace_lookup_symbols", "is_ftrace_trampoline",
	}},
	{"kernel/trace/fgraph.c", []string{
		"function_graph_enter", "ftrace_return_to_handler", "register_ftrace_graph", "unregister_ftrace_graph", "ftrace_graph_ret_addr",
		"ftrace_graph_stop", "fgraph_init_ops", "function_graph_enter_regs",
	}},
}

// apart is how far apart, in bytes, functions of one file may be: more than the largest
// function, and less than another file's text would be.
const apart = 8 << 10

// relevant finds ftrace's functions, by the index that they have: in which source file
// each is.
//
// A compiler writes the functions of a file one after the other, into a few sections. So
// all that lies between a file's roots, or functions whose BUG() or WARN() is of the
// file, is in that file.
func (d *side) relevant() map[int]string {
	found := make(map[int]string)
	bugs := d.bugFiles()
	for _, f := range files {
		var marks []int
		for _, name := range f.roots {
			marks = append(marks, d.byName[name]...)
		}
		for i, names := range bugs {
			if slices.Contains(names, f.name) {
				marks = append(marks, i)
			}
		}
		slices.Sort(marks)
		marks = slices.Compact(marks)
		for n, i := range marks {
			found[i] = f.name
			if n == 0 || d.funcs[i].Start-d.funcs[marks[n-1]].End > apart {
				continue
			}
			for k := marks[n-1] + 1; k < i; k++ {
				if _, other := found[k]; !other {
					found[k] = f.name
				}
			}
		}
	}
	d.neighbours(found)
	d.parts(found)
	return found
}

// neighbours adds the functions at the ends of a file's text that nothing marks: next
// to one that is found, and called by what is found only.
func (d *side) neighbours(found map[int]string) {
	callees := make(map[int][]int)
	for to, callers := range d.callers {
		for _, from := range callers {
			callees[from] = append(callees[from], to)
		}
	}
	beside := func(k int, file string) bool { return found[k-1] == file || found[k+1] == file }
	for work := keys(found); len(work) > 0; {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, k := range append([]int{i - 1, i + 1}, callees[i]...) {
			if k < 0 || k >= len(d.funcs) || found[k] != "" || len(d.callers[k]) == 0 || !beside(k, found[i]) {
				continue
			}
			if !slices.ContainsFunc(d.callers[k], func(c int) bool { return found[c] != found[i] }) {
				found[k] = found[i]
				work = append(work, k)
			}
		}
	}
}

// parts adds what a compiler has split off a function: f.cold, f.part.0, f.constprop.0.
func (d *side) parts(found map[int]string) {
	names := make(map[string]string)
	for i, file := range found {
		for _, name := range d.funcs[i].names {
			names[name] = file
		}
	}
	for i := range d.funcs {
		if whole, _, split := strings.Cut(d.funcs[i].name, "."); split && names[whole] != "" && found[i] == "" {
			found[i] = names[whole]
		}
	}
}

// maxFileName bounds the name of a source file, in bytes.
const maxFileName = 256

// bugFiles returns the source files that __bug_table names for each function
// (include/asm-generic/bug.h). Those of inlined functions are among them.
func (d *side) bugFiles() map[int][]string {
	const brk = 0xd4210000 // brk #0x800, BUG_BRK_IMM
	l := d.img.Layout().Bug
	found := make(map[int][]string)
	if l.File == kernelimage.Absent || l.File != l.Addr+4 {
		return found
	}
	for i := range d.space.parts {
		p := &d.space.parts[i]
		for at := (p.Start + 3) &^ 3; at+8 <= p.Start+uint64(len(p.data)); at += 4 {
			pc := at + distance(p.data[at-p.Start:])
			if !d.inText(pc) {
				continue
			}
			if w, ok := d.word(pc); !ok || w != brk {
				continue
			}
			name, ok := d.str(at + 4 + distance(p.data[at-p.Start+4:]))
			if f, in := funcAt(d.funcs, pc); ok && in && len(name) <= maxFileName {
				found[f] = append(found[f], strings.TrimPrefix(name, "./"))
			}
		}
	}
	return found
}

func keys(m map[int]string) []int {
	list := make([]int, 0, len(m))
	for i := range m {
		list = append(list, i)
	}
	slices.SortFunc(list, cmp.Compare[int])
	return list
}
