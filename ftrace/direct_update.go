package ftrace

import (
	"errors"
	"fmt"
	"math/bits"

	"callops/internal/errno"
	"callops/trampolines"
)

// DirectCall is a call site, by its IP or by where its function begins, and what it calls.
type DirectCall struct{ IP, Addr uint64 }

// DirectOps is the one ops that has all direct calls, direct_ops of kernel/bpf/trampoline.c: it
// is the kernel's own, so that unregistering it waits for nobody. EOPNOTSUPP with trampolines.DirectOps.
func (r *Registry) DirectOps() (*Ops, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.oneOps() {
		return nil, fmt.Errorf("one ops for all direct calls: each address needs an ops of its own: %w", errno.EOPNOTSUPP)
	}
	if r.directOps == nil {
		o, err := r.newOps("direct_ops", 0, &OpsOptions{Static: true})
		if err != nil {
			return nil, err
		}
		r.directOps = o
	}
	return r.directOps, nil
}

// UpdateDirectAdd is update_ftrace_direct_add: the ops' sites become those of calls too, and each
// calls its own address. The first call registers the ops, which NewDirectOps made. All sites
// are added, or none. EINVAL for no calls, a site that has a direct call or is there twice, what
// is no site, an address that is 0 or no multiple of 4, and an ops that is not one of these; EBUSY
// where a site has an IPMODIFY ops; EOPNOTSUPP with trampolines.DirectOps, ENOMEM.
func (r *Registry) UpdateDirectAdd(o *Ops, calls []DirectCall) error {
	return r.updateDirect("add direct calls to ", o, calls, r.addDirect)
}

// UpdateDirectDel is update_ftrace_direct_del: it removes sites with what they call, all or none;
// without any left, the ops is unregistered and loses its filter. EINVAL where a site does not
// call the address, and as UpdateDirectAdd's.
func (r *Registry) UpdateDirectDel(o *Ops, calls []DirectCall) error {
	return r.updateDirect("remove direct calls from ", o, calls, func(o *Ops, calls *hash) error {
		if err := r.delDirect(o, calls); err != nil || o.is(OpsEnabled) {
			return err
		}
		return r.freeFilter(o)
	})
}

// UpdateDirectMod is update_ftrace_direct_mod: sites call other addresses from now on. Those
// without a direct call are left out. Errors are UpdateDirectAdd's.
func (r *Registry) UpdateDirectMod(o *Ops, calls []DirectCall) error {
	return r.updateDirect("modify direct calls of ", o, calls, r.modDirect)
}

func (r *Registry) updateDirect(what string, o *Ops, calls []DirectCall, update func(*Ops, *hash) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(o); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !r.oneOps() {
		return fmt.Errorf("%s%s: each address needs an ops of its own: %w", what, o.Name, errno.EOPNOTSUPP)
	}
	table, err := r.directTable(calls)
	if err == nil && r.Dead() {
		err = r.dead()
	}
	if err == nil {
		err = update(o, table)
	}
	return r.done(what+o.Name, err)
}

// directTable is the hash that the callers of update_ftrace_direct_* make.
func (r *Registry) directTable(calls []DirectCall) (*hash, error) {
	if len(calls) == 0 {
		return nil, fmt.Errorf("no calls: %w", errno.EINVAL)
	}
	table := newDirectTable(len(calls))
	for _, c := range calls {
		ip := r.location(c.IP)
		switch {
		case ip == 0:
			return nil, fmt.Errorf("%s is no call site: %w", r.sym(c.IP), errno.EINVAL)
		case table.has(ip):
			return nil, fmt.Errorf("%s is there twice: %w", r.sym(ip), errno.EINVAL)
		case c.Addr == 0 || c.Addr%insnSize != 0:
			return nil, fmt.Errorf("%s can't call %#x: %w", r.sym(ip), c.Addr, errno.EINVAL)
		}
		table.add(entry{ip: ip, direct: c.Addr})
	}
	return table, nil
}

// newDirectTable is a table of direct calls for so many. It has two buckets or more.
func newDirectTable(n int) *hash {
	return newHash(max(1, min(uint(bits.Len(uint(n))), hashMaxBits)))
}

// sumDirect is direct_functions with other calls added (hash_add).
func (r *Registry) sumDirect(calls *hash) (*hash, error) {
	n := calls.count
	if r.direct != nil {
		n += r.direct.count
	}
	return r.fillDirect(n, func(table *hash) {
		r.direct.each(table.add)
		calls.each(table.add)
	})
}

// lessDirect is direct_functions without some calls (hash_sub).
func (r *Registry) lessDirect(calls *hash) (*hash, error) {
	n := max(r.direct.count-calls.count, 0)
	return r.fillDirect(n, func(table *hash) {
		r.direct.each(func(e entry) {
			if c := calls.lookup(e.ip); c == nil || c.direct != e.direct {
				table.add(e)
			}
		})
	})
}

func (r *Registry) fillDirect(n int, fill func(*hash)) (*hash, error) {
	if err := r.allocHash(); err != nil {
		return nil, err
	}
	if err := r.alloc("entry of direct_functions", n); err != nil {
		return nil, err
	}
	table := newDirectTable(n)
	fill(table)
	return table, nil
}

// addDirect adds sites. Those of an ops that is not registered may be in its filter already.
func (r *Registry) addDirect(o *Ops, calls *hash) error {
	var busy uint64
	calls.each(func(e entry) {
		if r.directOf(e.ip) != 0 {
			busy = e.ip
		}
	})
	registered := o.is(OpsEnabled)
	switch {
	case busy != 0:
		return fmt.Errorf("%s has a direct call already: %w", r.sym(busy), errno.EINVAL)
	case registered && !o.is(OpsDirect):
		return fmt.Errorf("it is not one with direct calls: %w", errno.EINVAL)
	case !registered && (o.Func() != 0 || o.trampoline != 0):
		return fmt.Errorf("it has a func or a trampoline: %w", errno.EINVAL)
	}
	filter, err := r.copyHash(o.hash.filter)
	if err != nil {
		return err
	}
	calls.each(func(e entry) {
		if err == nil && !filter.has(e.ip) {
			err = r.addEntry(filter, entry{ip: e.ip})
		}
	})
	if err != nil {
		return err
	}
	table, err := r.sumDirect(calls)
	if err != nil {
		return err
	}
	if err := r.stageDirect(table); err != nil {
		return err
	}
	old := r.direct
	r.publishDirect(table)
	if registered {
		err = r.moveHash(o, filterHash, filter)
	} else {
		err = r.registerFirst(o, filter)
	}
	if r.Dead() {
		return err // nothing is freed any more
	}
	if err != nil {
		r.publishDirect(old)
		old = table
	}
	if freed := r.retireDirect(old); err == nil {
		err = freed
	}
	return err
}

// registerFirst registers an ops with its first direct calls.
func (r *Registry) registerFirst(o *Ops, filter *hash) error {
	r.initOps(o)
	was := o.hash.filter
	if err := r.moveHash(o, filterHash, filter); err != nil {
		return err
	}
	r.setFunc(o, r.code.CallDirectFuncs)
	r.addFlags(o, r.directFlags())
	r.setTrampoline(o, r.code.Caller)
	if r.code.Direct == trampolines.DirectHash {
		r.publishTable(o)
	}
	r.orderOps()
	err := r.registerLocked(o)
	if err != nil && !r.Dead() {
		r.forgetDirect(o)
		if was.empty() {
			_ = r.freeFilter(o)
		}
	}
	return err
}

// orderOps orders the fields of an ops before the literals that will name it.
//
// Differs: Linux has no barrier there. What orders them is the DSB of set_fixmap, which maps the
// literal's page to write to it (arch/arm64/mm/fixmap.c).
func (r *Registry) orderOps() { r.mem.WriteBarrier() }

// forgetDirect makes an ops what it was before its first direct call.
func (r *Registry) forgetDirect(o *Ops) {
	r.dropFlags(o, r.directFlags())
	r.setFunc(o, 0)
	r.setTrampoline(o, 0)
	r.setDirectCall(o, 0)
}

// delDirect removes sites, and unregisters an ops that keeps none.
func (r *Registry) delDirect(o *Ops, calls *hash) error {
	if err := r.directRegistered(o); err != nil {
		return err
	}
	var wrong uint64
	calls.each(func(e entry) {
		if r.directOf(e.ip) != e.direct || !o.hash.filter.has(e.ip) {
			wrong = e.ip
		}
	})
	if wrong != 0 {
		return fmt.Errorf("%s does not call that: %w", r.sym(wrong), errno.EINVAL)
	}
	filter, err := r.copyHash(o.hash.filter)
	if err != nil {
		return err
	}
	calls.each(func(e entry) { filter.remove(e.ip) })
	table, err := r.lessDirect(calls)
	if err != nil {
		return err
	}
	if err := r.stageDirect(table); err != nil {
		return err
	}
	if filter.empty() {
		return r.delLast(o, table)
	}
	if err := r.moveHash(o, filterHash, filter); err != nil {
		return errors.Join(err, r.unstageDirect(table))
	}
	if r.Dead() {
		return nil
	}
	old := r.direct
	r.publishDirect(table)
	return r.retireDirect(old)
}

// delLast unregisters an ops whose last sites go. On EDEADLK it keeps its func, which a CPU may
// be about to call.
//
// Differs: where the ops is static, Linux clears func and frees the filter at once. A CPU may be in
// the list function and about to look at either.
func (r *Registry) delLast(o *Ops, table *hash) error {
	err := r.unregisterLocked(o)
	if r.Dead() {
		return err
	}
	old := r.direct
	r.publishDirect(table)
	r.collectUnused(old)
	if err == nil && !o.is(OpsDynamic) && r.fault != ForgetAtOnce {
		err = r.waitForReaders()
	}
	if err != nil {
		return err
	}
	r.forgetDirect(o)
	gone := r.unused
	r.unused = nil
	r.freeAll(gone)
	return nil
}

// modDirect has sites call other addresses.
//
// Differs: Linux registers a stub ops on all sites of the ops meanwhile, so that each of them is
// patched twice, whether its address changes or not. A BL may be exchanged for another one, and so
// may a literal: here the sites that change are patched, once.
func (r *Registry) modDirect(o *Ops, calls *hash) error {
	if err := r.directRegistered(o); err != nil {
		return err
	}
	known := newDirectTable(calls.count)
	calls.each(func(e entry) {
		if o.hash.filter.has(e.ip) {
			known.add(e)
		}
	})
	if known.count == 0 {
		return nil
	}
	table, err := r.fillDirect(r.direct.count, func(table *hash) {
		r.direct.each(func(e entry) {
			if c := known.lookup(e.ip); c != nil {
				e = *c
			}
			table.add(e)
		})
	})
	if err != nil {
		return err
	}
	if err := r.stageDirect(table); err != nil {
		return err
	}
	if err := r.ipModifyUpdate(o, known, known, true); err != nil {
		return errors.Join(err, r.unstageDirect(table))
	}
	old := r.direct
	r.publishDirect(table)
	known.each(func(e entry) {
		if rec := r.firstRecord(e.ip, e.ip); rec != nil && rec.is(RecEnabled) && !r.Dead() {
			if err := r.retarget(rec, old.lookup(e.ip).direct); err != nil {
				r.reportBug(bugUpdate, err, rec)
			}
		}
	})
	if r.Dead() {
		return nil
	}
	return r.retireDirect(old)
}

// retarget patches a site whose direct call was another. Its flags do not change.
func (r *Registry) retarget(rec *Record, was uint64) error {
	if literal, ok := r.directLiteral(rec); ok {
		if err := r.storeLiteral(rec.IP, literal); err != nil {
			return err
		}
	}
	if !rec.is(RecDirectEn) {
		return nil // tracers are beside it: it calls ftrace_caller
	}
	old, err := r.branchTo(rec.IP, was)
	if err != nil {
		return err
	}
	bl, err := r.branchTo(rec.IP, r.directOf(rec.IP))
	if err != nil || bl == old {
		return err
	}
	return r.modifyCode(rec.IP, old, bl)
}
