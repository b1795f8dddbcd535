package ftrace

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"callops/asm"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/kernelimage/module"
)

// group is the records of the kernel or of a module (struct ftrace_page).
type group struct {
	module  *module.Module // nil: the kernel
	records []Record       // ascending ip
}

func newGroup(m *module.Module, sites []kernelimage.Site) *group {
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

// nth returns the record that each yields as the ith, from 0; nil after the last.
func (r *Registry) nth(i uint64) *Record {
	for _, g := range r.groups {
		if i < uint64(len(g.records)) {
			return &g.records[i]
		}
		i -= uint64(len(g.records))
	}
	return nil
}

// ftracePLT is where a site's module has its own way to ftrace_caller, or to
// ftrace_regs_caller; 0 for the kernel's sites (get_ftrace_plt).
func (r *Registry) ftracePLT(ip, addr uint64) uint64 {
	for _, g := range r.groups {
		if g.module != nil && g.module.Image.Bounds().Contains(ip) {
			return g.module.FtracePLTEntry(addr == r.code.RegsCaller)
		}
	}
	return 0
}

// notified keeps the records in step with the kernel's text.
func (r *Registry) notified(e kernel.Event, m *module.Module) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e {
	case kernel.ModuleComing:
		return r.moduleComing(m)
	case kernel.ModuleGoing:
		return r.moduleGoing(m)
	case kernel.InitFreeing:
		return r.initFreeing()
	}
	return nil
}

// moduleComing makes the call sites of a module known, and enables those that
// registered ops match (ftrace_module_init, ftrace_module_enable): by way of
// ftrace_list_ops, also where there is one ops only, and also while ftrace is
// switched off. DIRECT and IPMODIFY ops are skipped. A dead ftrace ignores
// the module's sites, and lets the module load.
//
// Differs: a site that can't be made ready kills ftrace in Linux too, but there
// the module stays.
func (r *Registry) moduleComing(m *module.Module) error {
	what := "sites of module " + m.Name
	switch {
	case r.Dead():
		return nil
	case len(m.Image.Sites()) == 0:
		r.runWaiting(m)
		return r.done(what, nil)
	}
	if err := r.fillPLT(m); err != nil {
		return r.done(what, err)
	}
	g := newGroup(m, m.Image.Sites())
	r.groups = append(r.groups, g)
	if err := r.done(what, r.enableGroup(g)); err != nil {
		r.dropGroup(len(r.groups) - 1)
		return err
	}
	return nil
}

func (r *Registry) enableGroup(g *group) error {
	if err := r.checkReach(g); err != nil {
		return err
	}
	for i := range g.records {
		g.records[i].Flags = RecDisabled
	}
	if err := r.initSites(g); err != nil {
		return r.dead()
	}
	for i := range g.records {
		if typ, err := r.enableRecord(&g.records[i]); err != nil {
			r.reportBug(typ, err, &g.records[i])
			return r.dead()
		}
	}
	r.runWaiting(g.module)
	return nil
}

// fillPLT has the module's ftrace PLT lead to ftrace_caller, and to ftrace_regs_caller.
func (r *Registry) fillPLT(m *module.Module) error {
	words, err := m.FtracePLTEntries(r.code.Caller, r.code.RegsCaller)
	if err != nil || len(words) == 0 {
		return err
	}
	if err := r.mem.Write(m.FtracePLT, words); err != nil {
		return err
	}
	r.mem.SyncText(m.FtracePLT, uint64(len(words)))
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
		switch {
		case o.is(OpsDirect):
			r.warnOnce("referenced_filters, DIRECT", "a DIRECT ops is passed over for %s", rec.IP)
			continue
		case o.is(OpsIPModify):
			r.warnOnce("referenced_filters, IPMODIFY", "an IPMODIFY ops is passed over for %s", rec.IP)
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

// moduleGoing removes the records of a module that is about to be unloaded
// (ftrace_release_mod). Its text is left as it is. Its sites' addresses become
// 0 in the filters of all ops, so that none of them is left with a filter that is
// empty and stands for every function, and direct calls of its sites are forgotten.
//
// Differs: Linux clears the filters of trace arrays only, and another ops
// would trace whatever is loaded there next. Options.PlainOps does that.
func (r *Registry) moduleGoing(m *module.Module) error {
	i := slices.IndexFunc(r.groups, func(g *group) bool { return g.module == m })
	if i < 0 {
		return nil
	}
	r.dropGroup(i)
	return r.mem.take()
}

func (r *Registry) dropGroup(i int) {
	gone := r.groups[i]
	r.groups = slices.Delete(r.groups, i, i+1)
	r.forget(gone)
}

// clearSites is clear_mod_from_hash: the entries stay, for no site.
func (r *Registry) clearSites(h *hash, gone *group) {
	if h.empty() {
		return
	}
	h.eachAt(r.layout, func(e *entry, at uint64) {
		if gone.has(e.ip) {
			r.mem.set64(at+uint64(r.layout.Entry.IP), 0)
			e.ip = 0
		}
	})
}

func (g *group) has(ip uint64) bool {
	_, ok := slices.BinarySearchFunc(g.records, ip, func(rec Record, ip uint64) int { return cmp.Compare(rec.IP, ip) })
	return ok
}

// checkReach refuses trampolines that some site's BL can't reach: patching that
// site would kill ftrace. Sites ascend, so checking the outermost is enough.
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
//
// Differs: Linux finds a site that is not as the compiler left it when those
// before it are changed.
func (r *Registry) initSites(g *group) error {
	compiled := func(rec *Record) error { return r.checkCode(rec.IP-insnSize, asm.NOP) }
	for _, step := range []func(*Record) error{compiled, r.initNop} {
		for i := range g.records {
			rec := &g.records[i]
			if err := step(rec); err != nil {
				r.reportBug(bugInit, err, rec)
				return r.bug
			}
		}
	}
	return nil
}

// checkUnused refuses a kernel on which ftrace was built before: EBUSY where a site
// has its MOV X9, X30.
func (r *Registry) checkUnused(g *group) error {
	for i := range g.records {
		ip := g.records[i].IP
		if word, err := r.mem.Load32(ip - insnSize); err == nil && word == asm.MovX9LR {
			return fmt.Errorf("%s is prepared already, so the kernel has an ftrace: %w", r.sym(ip), errno.EBUSY)
		}
	}
	return nil
}
