package ftrace

import (
	"fmt"
	"math/bits"

	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trampolines"
)

// Direct calls: a caller's own code instead of a tracer. A site alone
// with such an ops calls the code by its BL where that reaches, and through
// ftrace_caller, which finds the address in the ops, where it does not.

// RegisterDirect is register_ftrace_direct: the ops, made by NewDirectOps and
// given a filter, has its sites call addr. On entry there x9 holds the LR to
// restore and x30 the address to resume at. EINVAL for an ops that is not one
// of these, is registered or has no filter, EBUSY where a site has a direct
// call already, EOPNOTSUPP without CALL_OPS or in a kernel without direct_call.
func (r *Registry) RegisterDirect(o *Ops, addr uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(o); err != nil {
		return fmt.Errorf("register direct: %w", err)
	}
	return r.done("register direct "+o.Name, r.registerDirectLocked(o, addr))
}

// NewDirectOps makes an ops for RegisterDirect: one without a func.
func (r *Registry) NewDirectOps(name string) (*Ops, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newOps(name, 0, &OpsOptions{})
}

func (r *Registry) registerDirectLocked(o *Ops, addr uint64) error {
	switch {
	case !r.callOps && r.code.Direct != trampolines.DirectHash || r.layout.Ops.DirectCall == kernelimage.Absent:
		return fmt.Errorf("direct calls need CALL_OPS and ops with direct_call: %w", errno.EOPNOTSUPP)
	case o.Func() != 0 || o.trampoline != 0:
		return fmt.Errorf("it has a func or a trampoline: %w", errno.EINVAL)
	case !o.is(OpsInitialized) || o.is(OpsEnabled):
		return fmt.Errorf("it has no filter or is registered: %w", errno.EINVAL)
	case o.hash.filter.empty():
		return fmt.Errorf("its filter is empty: %w", errno.EINVAL)
	}
	var busy uint64
	o.hash.filter.each(func(e entry) {
		if r.directOf(e.ip) != 0 {
			busy = e.ip
		}
	})
	if busy != 0 {
		return fmt.Errorf("%s has a direct call already: %w", r.sym(busy), errno.EBUSY)
	}
	if r.oneOps() {
		return r.addDirect(o, directsOf(o, addr))
	}
	table, err := r.copyDirect(o.hash.filter, addr)
	if err != nil {
		return err
	}
	replaced := r.direct
	r.direct = table
	if replaced != nil {
		// Linux frees the table then; this one is Go's to collect.
		defer r.grace.CallRCUTasks(func() {})
	}

	r.setFunc(o, r.code.CallDirectFuncs)
	if r.prof.keepsInit {
		r.setFlags(o, o.Flags()|OpsDirect)
	} else {
		r.setFlags(o, OpsDirect) // drops INITIALIZED too; the hashes stay
	}
	r.setTrampoline(o, r.code.Caller)
	r.setDirectCall(o, addr)
	r.orderOps()
	if err := r.registerLocked(o); err != nil {
		r.resetDirect(o, addr)
		return err
	}
	return nil
}

// directsOf is a direct call to addr for each site of the ops.
func directsOf(o *Ops, addr uint64) *hash {
	calls := newDirectTable(o.hash.filter.count)
	o.hash.filter.each(func(e entry) { calls.add(entry{ip: e.ip, direct: addr}) })
	return calls
}

// copyDirect is direct_functions with the sites of a filter added.
func (r *Registry) copyDirect(filter *hash, addr uint64) (*hash, error) {
	n := filter.count
	if r.direct != nil {
		n += r.direct.count
	}
	if err := r.allocHash(); err != nil {
		return nil, err
	}
	if err := r.alloc("entry of direct_functions", n); err != nil {
		return nil, err
	}
	table := newHash(min(uint(bits.Len(uint(n))), hashMaxBits))
	r.direct.each(table.add)
	filter.each(func(e entry) { table.add(entry{ip: e.ip, direct: addr}) })
	return table, nil
}

// Direct is ftrace_find_rec_direct: what a site calls directly once it may, or 0.
func (r *Registry) Direct(ip uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.directOf(ip)
}

// resetDirect is reset_direct.
func (r *Registry) resetDirect(o *Ops, addr uint64) {
	o.hash.filter.each(func(e entry) {
		if r.directOf(e.ip) == addr {
			r.direct.remove(e.ip)
		}
	})
	r.setFunc(o, 0)
	r.setTrampoline(o, 0)
}

// UnregisterDirect is unregister_ftrace_direct. A wrong addr leaves the sites'
// entries in place, which then remain busy, as in Linux; where an ops has calls of its sites' own it
// is EINVAL.
func (r *Registry) UnregisterDirect(o *Ops, addr uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.directRegistered(o); err != nil {
		return fmt.Errorf("unregister direct: %w", err)
	}
	if r.oneOps() {
		return r.done("unregister direct "+o.Name, r.delDirect(o, directsOf(o, addr)))
	}
	err := r.unregisterLocked(o)
	r.resetDirect(o, addr)
	return r.done("unregister direct "+o.Name, err)
}

func (r *Registry) directRegistered(o *Ops) error {
	if err := r.usable(o); err != nil {
		return err
	}
	if !o.is(OpsInitialized) || !o.is(OpsDirect) || !o.is(OpsEnabled) {
		return fmt.Errorf("%s is not a registered direct ops: %w", o.Name, errno.EINVAL)
	}
	return nil
}

// ModifyDirect is modify_ftrace_direct: the ops' sites call addr from now on.
// While it changes, a stub ops makes every site go through the list function.
func (r *Registry) ModifyDirect(o *Ops, addr uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.directRegistered(o); err != nil {
		return fmt.Errorf("modify direct: %w", err)
	}
	if r.oneOps() {
		return r.done("modify direct "+o.Name, r.modDirect(o, directsOf(o, addr)))
	}
	return r.done("modify direct "+o.Name, r.modifyDirectLocked(o, addr))
}

func (r *Registry) modifyDirectLocked(o *Ops, addr uint64) error {
	if r.tmpOps == nil {
		var err error
		if r.tmpOps, err = r.newOps("tmp_ops", r.code.Stub, &OpsOptions{Flags: OpsStub, Static: true}); err != nil {
			return err
		}
	}
	tmp := r.tmpOps
	r.initOps(tmp)
	tmp.hash = o.hash
	r.mem.set64(tmp.addr+uint64(r.layout.Ops.FuncHash), o.addr+uint64(r.layout.Ops.LocalHash))
	r.setDirectCall(tmp, addr)
	if err := r.registerLocked(tmp); err != nil {
		return err
	}
	err := r.ipModifyUpdate(o, o.hash.filter, o.hash.filter, true)
	if err == nil {
		o.hash.filter.each(func(e entry) {
			if d := r.direct.lookup(e.ip); d != nil {
				d.direct = addr
			}
		})
		r.setDirectCall(o, addr)
	}
	if gone := r.unregisterLocked(tmp); err == nil {
		err = gone
	}
	return err
}
