package ftrace

import (
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sys/unix"

	"callops/kernelimage"
)

// group is the records of the kernel or of a module (struct ftrace_page).
type group struct {
	module  *kernelimage.Module // nil: the kernel
	records []Record            // ascending ip
}

func newGroup(m *kernelimage.Module, sites []kernelimage.Site) *group {
	g := &group{module: m, records: make([]Record, len(sites))}
	for i, s := range sites {
		g.records[i].IP = s.IP
	}
	return g
}

// each is do_for_each_ftrace_rec: the kernel's records, then each module's.
func (r *Registry) each() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		for _, g := range r.groups {
			for i := range g.records {
				if !yield(&g.records[i]) {
					return
				}
			}
		}
	}
}

// nth returns the record that each yields as the ith, from 0; nil behind the last.
func (r *Registry) nth(i uint64) *Record {
	for _, g := range r.groups {
		if i < uint64(len(g.records)) {
			return &g.records[i]
		}
		i -= uint64(len(g.records))
	}
	return nil
}

// ftracePLT is where a site's module has its own way to ftrace_caller; 0 for
// the kernel's sites (get_ftrace_plt).
func (r *Registry) ftracePLT(ip uint64) uint64 {
	for _, g := range r.groups {
		if g.module != nil && g.module.Image.Bounds().Contains(ip) {
			return g.module.FtracePLT
		}
	}
	return 0
}

// AddModule makes the call sites of a module that was loaded into the kernel
// known, and has those call that registered ops want (ftrace_module_init,
// ftrace_module_enable): by way of ftrace_list_ops, also where there is one ops only, and
// also while ftrace is switched off. DIRECT and IPMODIFY ops are passed over. EEXIST
// where the module is known, ENODEV once ftrace is dead.
func (r *Registry) AddModule(m *kernelimage.Module) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m == nil {
		return fmt.Errorf("add module: no module: %w", unix.EINVAL)
	}
	what := "add module " + m.Name
	switch {
	case r.Dead():
		return r.done(what, r.dead())
	case r.groupOf(m) >= 0:
		return r.done(what, fmt.Errorf("it is known: %w", unix.EEXIST))
	case len(m.Image.Sites) == 0:
		return nil
	}
	if err := r.fillPLT(m); err != nil {
		return r.done(what, err)
	}
	g := newGroup(m, m.Image.Sites)
	r.groups = append(r.groups, g)
	if err := r.checkReach(g); err != nil {
		r.groups = r.groups[:len(r.groups)-1]
		return r.done(what, err)
	}
	for i := range g.records {
		g.records[i].Flags = RecDisabled
	}
	if err := r.initSites(g); err != nil {
		return r.done(what, err)
	}
	for i := range g.records {
		if typ, err := r.enableRecord(&g.records[i]); err != nil {
			r.reportBug(typ, err, &g.records[i])
			break
		}
	}
	return r.done(what, nil)
}

// fillPLT has the module's ftrace PLT lead to ftrace_caller.
func (r *Registry) fillPLT(m *kernelimage.Module) error {
	if m.FtracePLT == 0 {
		return nil
	}
	words, err := kernelimage.PLTEntry(m.FtracePLT, r.code.Caller)
	if err != nil {
		return err
	}
	if err := r.mem.Write(m.FtracePLT, words); err != nil {
		return err
	}
	r.mem.SyncText(m.FtracePLT, kernelimage.FtracePLTSize)
	return nil
}

// enableRecord ends a fresh record's DISABLED, with the count of the ops that
// are registered already (referenced_filters).
func (r *Registry) enableRecord(rec *Record) (bugType, error) {
	rec.Flags &^= RecDisabled
	if r.startUp == 0 {
		return bugUnknown, nil
	}
	n := 0
	for _, o := range r.list {
		if !o.is(OpsEnabled) || !o.hash.match(rec.IP) {
			continue
		}
		if o.is(OpsDirect | OpsIPModify) {
			r.printk(fmt.Sprintf("WARNING: %s is DIRECT or IPMODIFY, and passed over for %s", o.Name, r.sym(rec.IP)))
			continue
		}
		n++
		if o.is(OpsSaveRegs) {
			rec.Flags |= RecRegs
		}
		rec.set(RecTramp, n == 1 && o.trampoline != 0)
	}
	rec.Flags += RecFlags(n)
	if n == 0 {
		return bugUnknown, nil
	}
	return r.replaceRecord(rec, true)
}

// RemoveModule forgets the call sites of a module that is about to be unloaded
// (ftrace_release_mod). Its text is left as it is. Its sites' addresses become
// 0 in the filters of all ops, so that none of them is left with a filter that is
// empty and stands for every function, and direct calls of its sites are forgotten.
// ENOENT where the module is not known.
//
// Differs: Linux clears the filters of trace arrays only, and another ops
// would trace whatever is loaded there next.
func (r *Registry) RemoveModule(m *kernelimage.Module) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m == nil {
		return fmt.Errorf("remove module: no module: %w", unix.EINVAL)
	}
	what := "remove module " + m.Name
	i := r.groupOf(m)
	switch {
	case i < 0 && len(m.Image.Sites) == 0:
		return nil
	case i < 0:
		return r.done(what, fmt.Errorf("it is not known: %w", unix.ENOENT))
	}
	gone := r.groups[i]
	r.groups = slices.Delete(r.groups, i, i+1)
	r.forget(gone)
	return r.done(what, nil)
}

// clearSites is clear_mod_from_hash: the entries stay, for no site.
func (r *Registry) clearSites(h *hash, gone *group) {
	if h.empty() {
		return
	}
	for i := range gone.records {
		if e := h.lookup(gone.records[i].IP); e != nil {
			r.mem.set64(h.entryAddr(r.layout, e)+uint64(r.layout.Entry.IP), 0)
			e.ip = 0
		}
	}
}

// groupOf returns the index of a module's group, or -1.
func (r *Registry) groupOf(m *kernelimage.Module) int {
	return slices.IndexFunc(r.groups, func(g *group) bool { return g.module == m })
}

// checkReach refuses trampolines that some site's BL can't reach: patching that
// site would be the end of ftrace. Sites ascend, so the outermost speak for all.
func (r *Registry) checkReach(g *group) error {
	if len(g.records) == 0 {
		return nil
	}
	for _, rec := range []Record{g.records[0], g.records[len(g.records)-1]} {
		if _, err := r.branchTo(rec.IP, r.code.Caller); err != nil {
			return fmt.Errorf("%s can't call ftrace_caller: %w", r.sym(rec.IP), err)
		}
	}
	return nil
}

// initSites makes each site ready (ftrace_update_code).
func (r *Registry) initSites(g *group) error {
	for i := range g.records {
		rec := &g.records[i]
		if err := r.initNop(rec); err != nil {
			r.reportBug(bugInit, err, rec)
			return r.bug
		}
	}
	return nil
}
