package ftrace

import "slices"

// FreeInit forgets the call sites in the kernel's init text, which is about to
// be freed (ftrace_free_init_mem); [callops/kernel.Kernel.FreeInitMem]
// comes next. Its text is left as it is, traced or not. In the filters of all ops
// its sites' addresses become 0, as in RemoveModule. A second time there is nothing
// left to forget.
func (r *Registry) FreeInit() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.k.Image.Linux == nil {
		return nil
	}
	core, init := r.groups[0], r.k.Image.Linux.InitText
	gone := &group{}
	for _, rec := range core.records {
		if init.Contains(rec.IP) {
			gone.records = append(gone.records, rec)
		}
	}
	core.records = slices.DeleteFunc(core.records, func(rec Record) bool { return init.Contains(rec.IP) })
	r.forget(gone)
	return r.done("free init", nil)
}

// forget takes sites out of direct_functions and of the filters of all ops.
func (r *Registry) forget(gone *group) {
	for i := range gone.records {
		if r.direct != nil {
			r.direct.remove(gone.records[i].IP)
		}
	}
	r.all.Range(func(_, v any) bool {
		o := v.(*Ops)
		for _, h := range []*hash{o.hash.filter, o.hash.notrace} {
			r.clearSites(h, gone)
		}
		return true
	})
}
