package guestcore

import (
	"callops/kernel"
	"callops/kernelimage"
)

// symbols are the functions and variables of the kernel's core.
type symbols struct {
	init, freeInitMem, processLocs, seqInit              uint64
	register, unregister                                 uint64
	registerDirect, unregisterDirect, modifyDirect       uint64
	findDirect, updateDirect, kill                       uint64
	setFilter, setNotrace, setFilterIPs, freeFilter      uint64
	opsTest, location, sysctl, isDead                    uint64
	availOpen, addrsOpen, enabledOpen, touchedOpen       uint64
	seqRead, seqRelease, iovIterKvec                     uint64
	moduleInit, moduleEnable, releaseMod, freeMem        uint64
	treeInsert, treeRemove, treeRemoveInit               uint64
	modCommand, regexOpen, regexRelease                  uint64
	filterWrite, notraceWrite, traceArrays, tracingOff   uint64
	modules, modTree                                     uint64
	pages, enabled, lastEnabled, initStack, sdata, edata uint64
}

// needed says whether a kernel must have a symbol.
type needed uint8

const (
	always needed = iota
	direct        // with direct calls
	never         // what asks for it does without
)

// names are the symbols' (kernel/trace/ftrace.c, kernel/module, fs/seq_file.c, lib/iov_iter.c).
var names = []struct {
	name  string
	field func(*symbols) *uint64
	need  needed
}{
	{"ftrace_init", func(s *symbols) *uint64 { return &s.init }, always},
	{"ftrace_free_init_mem", func(s *symbols) *uint64 { return &s.freeInitMem }, always},
	{"ftrace_process_locs", func(s *symbols) *uint64 { return &s.processLocs }, never},
	{"register_ftrace_function", func(s *symbols) *uint64 { return &s.register }, always},
	{"unregister_ftrace_function", func(s *symbols) *uint64 { return &s.unregister }, always},
	{"register_ftrace_direct", func(s *symbols) *uint64 { return &s.registerDirect }, direct},
	{"unregister_ftrace_direct", func(s *symbols) *uint64 { return &s.unregisterDirect }, direct},
	{"modify_ftrace_direct", func(s *symbols) *uint64 { return &s.modifyDirect }, direct},
	{"ftrace_find_rec_direct", func(s *symbols) *uint64 { return &s.findDirect }, never},
	{"update_ftrace_direct_add", func(s *symbols) *uint64 { return &s.updateDirect }, never},
	{"ftrace_kill", func(s *symbols) *uint64 { return &s.kill }, always},
	{"ftrace_set_filter", func(s *symbols) *uint64 { return &s.setFilter }, always},
	{"ftrace_set_notrace", func(s *symbols) *uint64 { return &s.setNotrace }, always},
	{"ftrace_set_filter_ips", func(s *symbols) *uint64 { return &s.setFilterIPs }, always},
	{"ftrace_free_filter", func(s *symbols) *uint64 { return &s.freeFilter }, always},
	{"ftrace_ops_test", func(s *symbols) *uint64 { return &s.opsTest }, always},
	{"ftrace_location", func(s *symbols) *uint64 { return &s.location }, always},
	{"ftrace_enable_sysctl", func(s *symbols) *uint64 { return &s.sysctl }, always},
	{"ftrace_is_dead", func(s *symbols) *uint64 { return &s.isDead }, always},
	{"ftrace_avail_open", func(s *symbols) *uint64 { return &s.availOpen }, always},
	{"ftrace_avail_addrs_open", func(s *symbols) *uint64 { return &s.addrsOpen }, never},
	{"ftrace_enabled_open", func(s *symbols) *uint64 { return &s.enabledOpen }, always},
	{"ftrace_touched_open", func(s *symbols) *uint64 { return &s.touchedOpen }, never},
	{"seq_file_init", func(s *symbols) *uint64 { return &s.seqInit }, always},
	{"seq_read_iter", func(s *symbols) *uint64 { return &s.seqRead }, always},
	{"seq_release_private", func(s *symbols) *uint64 { return &s.seqRelease }, always},
	{"iov_iter_kvec", func(s *symbols) *uint64 { return &s.iovIterKvec }, always},
	{"ftrace_module_init", func(s *symbols) *uint64 { return &s.moduleInit }, always},
	{"ftrace_module_enable", func(s *symbols) *uint64 { return &s.moduleEnable }, always},
	{"ftrace_release_mod", func(s *symbols) *uint64 { return &s.releaseMod }, always},
	{"ftrace_free_mem", func(s *symbols) *uint64 { return &s.freeMem }, always},
	{"mod_tree_insert", func(s *symbols) *uint64 { return &s.treeInsert }, never},
	{"mod_tree_remove", func(s *symbols) *uint64 { return &s.treeRemove }, never},
	{"mod_tree_remove_init", func(s *symbols) *uint64 { return &s.treeRemoveInit }, never},
	{"modules", func(s *symbols) *uint64 { return &s.modules }, never},
	{"mod_tree", func(s *symbols) *uint64 { return &s.modTree }, never},

	{"ftrace_mod_cmd_init", func(s *symbols) *uint64 { return &s.modCommand }, never},
	{"ftrace_regex_open", func(s *symbols) *uint64 { return &s.regexOpen }, never},
	{"ftrace_filter_write", func(s *symbols) *uint64 { return &s.filterWrite }, never},
	{"ftrace_notrace_write", func(s *symbols) *uint64 { return &s.notraceWrite }, never},
	{"ftrace_regex_release", func(s *symbols) *uint64 { return &s.regexRelease }, never},
	{"ftrace_trace_arrays", func(s *symbols) *uint64 { return &s.traceArrays }, never},
	{"tracing_disabled", func(s *symbols) *uint64 { return &s.tracingOff }, never},

	{"ftrace_pages_start", func(s *symbols) *uint64 { return &s.pages }, always},
	{"ftrace_enabled", func(s *symbols) *uint64 { return &s.enabled }, always},
	{"last_ftrace_enabled", func(s *symbols) *uint64 { return &s.lastEnabled }, never},
	{"init_stack", func(s *symbols) *uint64 { return &s.initStack }, never},
	{"_sdata", func(s *symbols) *uint64 { return &s.sdata }, never},
	{"_edata", func(s *symbols) *uint64 { return &s.edata }, never},
}

// find finds the symbols of a kernel, and names all that it lacks.
func find(k *kernel.Kernel) (*symbols, error) {
	s := &symbols{}
	for _, n := range names {
		if sym, err := k.Symbols.Lookup(n.name); err == nil {
			*n.field(s) = sym.Addr
		}
	}
	newFinder(k).variables(s)
	var missing []string
	hasDirect := k.Layout.Ops.DirectCall != kernelimage.Absent
	for _, n := range names {
		if *n.field(s) == 0 && (n.need == always || n.need == direct && hasDirect) {
			missing = append(missing, n.name)
		}
	}
	if k.Layout.Core == (kernelimage.CoreLayout{}) {
		missing = append(missing, "BTF of struct ftrace_page and what its control files are read through")
	}
	if len(missing) > 0 {
		return nil, &MissingError{Image: k.Image.Name(), Names: missing}
	}
	return s, nil
}
