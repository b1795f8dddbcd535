package ftrace

import "slices"

// initFreeing removes the records of call sites in the kernel's init text, which is
// about to be freed (ftrace_free_init_mem). Its text is left as it is, traced or not. In the
// filters of all ops its sites' addresses become 0, as in moduleGoing.
func (r *Registry) initFreeing() error {
	core, init := r.groups[0], r.k.Image.Linux().InitText
	gone := &group{}
	for _, rec := range core.records {
		if init.Contains(rec.IP) {
			gone.records = append(gone.records, rec)
		}
	}
	core.records = slices.DeleteFunc(core.records, func(rec Record) bool { return init.Contains(rec.IP) })
	r.forget(gone)
	return r.mem.take()
}

// forget takes sites out of direct_functions and of the filters of all ops. Linux does so for
// the filters of trace arrays (clear_mod_from_hashes).
func (r *Registry) forget(gone *group) {
	for i := range gone.records {
		r.leaveSet(&gone.records[i])
		if r.direct != nil && !r.plainOps {
			r.direct.remove(gone.records[i].IP)
		}
	}
	r.all.Range(func(_, v any) bool {
		o := v.(*Ops)
		if r.plainOps && !o.commands {
			return true
		}
		for _, h := range []*hash{o.hash.filter, o.hash.notrace} {
			r.clearSites(h, gone)
		}
		return true
	})
}
