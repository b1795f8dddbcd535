package ftrace

import "fmt"

// count is __ftrace_hash_rec_update: it adds the ops to the records it
// matches, or removes it from them, and reports whether any of them needs patching.
// An ops that is not ENABLED counts nowhere.
func (r *Registry) count(o *Ops, inc bool) (update bool) {
	most := -1
	if f := o.hash.filter; !f.empty() {
		most = f.count
	}
	return r.countThose(o, inc, most, o.hash.match)
}

// countNotrace is count where it is the notrace hash that changes, in kernels before 6.11: only
// the records in that leave the ops, or come back to it.
func (r *Registry) countNotrace(o *Ops, inc bool) {
	h := o.hash
	if h.notrace.empty() {
		return
	}
	r.countThose(o, inc, h.notrace.count, func(ip uint64) bool {
		return h.notrace.lookup(ip) != nil && (h.filter.empty() || h.filter.lookup(ip) != nil)
	})
}

// countThose counts the records that match, of which there are at most so many; -1: any
// number.
func (r *Registry) countThose(o *Ops, inc bool, most int, match func(ip uint64) bool) (update bool) {
	if !o.is(OpsEnabled) {
		return false
	}
	if r.sets != nil {
		r.sets.begin(o)
	}
	matched := 0
	for rec := range r.each() {
		if rec.skip() || !match(rec.IP) {
			continue
		}
		if inc {
			if !r.countIn(rec, o) {
				return false
			}
		} else if !r.countOut(rec, o) {
			return false
		}
		if r.callOps && r.prof.count(rec.Flags) == 1 && r.callable(rec, o, inc) {
			rec.Flags |= RecCallOps
		} else if !r.keepsUnique(rec) {
			rec.Flags &^= r.prof.ifCallOps(RecCallOps)
		}
		rec.stale = r.sets != nil
		if act, _ := r.prof.check(rec.Flags, true); act != ignore || r.outdated(rec) {
			update = true
		}
		if matched++; matched == most {
			break
		}
	}
	return update
}

// callable reports whether a site may call its one ops directly. Linux tests the
// ops that joins or leaves, which is the wrong one when it leaves; FixCallOps tests
// the one that remains.
func (r *Registry) callable(rec *Record, o *Ops, inc bool) bool {
	if r.scheme == List {
		return false
	}
	if !inc && r.fixCallOps {
		o = r.uniqueOps(rec.IP, o)
	}
	return o != nil && r.opsFunc(o) == o.Func()
}

// opsFunc is ftrace_ops_get_func: the function that calls the ops' func with the
// protection that it asks for.
func (r *Registry) opsFunc(o *Ops) uint64 {
	if o.is(OpsRecursion | OpsRCU) {
		return r.code.AssistFunc
	}
	return o.Func()
}

func (r *Registry) countIn(rec *Record, o *Ops) bool {
	rec.Flags++
	n := r.prof.count(rec.Flags)
	if n == int(r.prof.refMax()) {
		r.warn("count of %s is at its limit", r.sym(rec.IP))
		return false
	}
	if o.is(OpsDirect) {
		rec.Flags |= RecDirect
	}
	rec.set(RecTramp, n == 1 && o.trampoline != 0)
	if o.is(OpsSaveRegs) {
		rec.Flags |= RecRegs
	}
	return true
}

func (r *Registry) countOut(rec *Record, o *Ops) bool {
	if r.prof.count(rec.Flags) == 0 {
		r.warn("count of %s would fall below 0", r.sym(rec.IP))
		return false
	}
	rec.Flags--
	n := r.prof.count(rec.Flags)
	if o.is(OpsDirect) {
		rec.Flags &^= RecDirect
	}
	if (n > 0 || r.fixRegs) && rec.is(RecRegs) && o.is(OpsSaveRegs) && !r.wantsRegs(rec.IP, o) {
		rec.Flags &^= RecRegs
	}
	rec.set(RecTramp, n == 1 && r.trampolineOps(rec.IP, o) != nil)
	return true
}

func (r *Record) set(f RecFlags, on bool) {
	if on {
		r.Flags |= f
	} else {
		r.Flags &^= f
	}
}

// wantsRegs is test_rec_ops_needs_regs. The ops that leaves is still listed, with
// its old hash, where its filter changes: Linux then counts it too.
func (r *Registry) wantsRegs(ip uint64, leaving *Ops) bool {
	for _, o := range r.list {
		if r.fixRegs && o == leaving {
			continue
		}
		if o.is(OpsSaveRegs) && o.hash.match(ip) {
			return true
		}
	}
	return false
}

// uniqueOps is ftrace_find_unique_ops: the one listed ops that matches ip, or
// nil where there are none or several. except is skipped.
func (r *Registry) uniqueOps(ip uint64, except *Ops) *Ops {
	var found *Ops
	for _, o := range r.list {
		if o == except || !o.hash.match(ip) {
			continue
		}
		if found != nil {
			return nil
		}
		found = o
	}
	return found
}

// trampolineOps is ftrace_find_tramp_ops_any_other: the first listed ops that
// matches ip and has a trampoline. except is skipped.
func (r *Registry) trampolineOps(ip uint64, except *Ops) *Ops {
	for _, o := range r.list {
		if o != except && o.trampoline != 0 && o.hash.match(ip) {
			return o
		}
	}
	return nil
}

// currentTrampolineOps is ftrace_find_tramp_ops_curr: whose trampoline a site
// calls while a change is under way.
func (r *Registry) currentTrampolineOps(ip uint64) *Ops {
	if r.removed != nil && r.removed.oldHash.match(ip) {
		return r.removed
	}
	for _, o := range r.list {
		if o.trampoline == 0 || o.is(OpsAdding) {
			continue
		}
		h := &o.hash
		if o.is(OpsModifying) {
			h = &o.oldHash
		}
		if h.match(ip) {
			return o
		}
	}
	return nil
}

// warn is FTRACE_WARN_ON with a broken invariant: it kills ftrace. It needs no
// lock.
func (r *Registry) warn(format string, args ...any) {
	r.printk("WARNING: " + fmt.Sprintf(format, args...))
	r.kill()
}

// warnOnce is WARN_ON_ONCE in a function of Linux's, about a site. It kills nothing.
func (r *Registry) warnOnce(where, format string, ip uint64) {
	if r.first(where) {
		r.printk("WARNING: " + fmt.Sprintf(format, r.sym(ip)))
	}
}

// first reports whether a function of Linux's logs what it logs once for the first time.
func (r *Registry) first(where string) bool {
	logged := r.logged[where]
	r.logged[where] = true
	return !logged
}
