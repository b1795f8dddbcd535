package ftrace

import (
	"errors"
	"maps"
	"slices"

	"callops/trampolines"
)

// Designs of direct calls (trampolines.Direct). With all but DirectOps one ops has any number of
// direct calls, each site's own; direct_functions says which, and what ftrace_caller finds it by
// follows that table:
//
//	tagged  the site's literal is the address
//	mini    the site's literal points to the address' mini-ops
//	hash    the ops' direct_call points to a copy of the table
//
// A change has the same order in each: what is new is written before a site can lead there,
// then the sites change, literal first, and what no site leads to any more is freed after a
// grace period.

// oneOps reports whether an ops has direct calls of its sites' own.
func (r *Registry) oneOps() bool { return r.code.Direct.OneOps() }

// jumpsTo reports whether sites jump to an address that they reach (ftrace_is_jmp).
func (r *Registry) jumpsTo(addr uint64) bool {
	return r.code.Direct == trampolines.DirectJump && addr != r.code.Caller && addr != r.code.RegsCaller
}

// inLiteral reports whether a site's literal leads to its direct call, past the ops.
func (r *Registry) inLiteral() bool {
	return r.code.Direct == trampolines.DirectTagged || r.code.Direct == trampolines.DirectMini
}

// directFlags are those of an ops with direct calls. Where the literal says what to call, the list
// function is to leave the ops out.
func (r *Registry) directFlags() OpsFlag {
	if r.inLiteral() {
		return OpsDirect | OpsStub
	}
	return OpsDirect
}

// directLiteral is what the literal of a site with a direct call holds; ok is false where that is
// an ops.
func (r *Registry) directLiteral(rec *Record) (literal uint64, ok bool) {
	if !rec.is(RecDirect) || !r.inLiteral() {
		return 0, false
	}
	addr, alone := r.directOf(rec.IP), r.prof.count(rec.Flags) == 1
	if addr == 0 {
		return 0, false
	}
	if r.code.Direct == trampolines.DirectTagged {
		return trampolines.TaggedLiteral(addr, alone), true
	}
	mini := r.minis[addr]
	if alone {
		mini += trampolines.MiniAlone
	}
	return mini, true
}

// stageDirect writes what a table of direct calls needs in emulated memory. No CPU can reach it
// before it is published. ENOMEM leaves nothing behind.
func (r *Registry) stageDirect(table *hash) error {
	switch r.code.Direct {
	case trampolines.DirectMini:
		return r.stageMinis(table)
	case trampolines.DirectHash:
		addr, err := r.mem.Alloc("direct_functions", table.size(r.layout))
		if err != nil {
			return err
		}
		if err := r.mem.Write(addr, table.image(r.layout, addr)); err != nil {
			return errors.Join(err, r.mem.Free(addr))
		}
		table.addr = addr
	}
	return nil
}

// stageMinis makes the mini-ops of addresses that have none.
func (r *Registry) stageMinis(table *hash) error {
	fresh := false
	var err error
	table.each(func(e entry) {
		if _, ok := r.minis[e.direct]; ok || err != nil {
			return
		}
		var mini uint64
		if mini, err = r.newMini(e.direct); err == nil {
			r.minis[e.direct] = mini
			fresh = true
		}
	})
	if err != nil {
		return errors.Join(err, r.unstageDirect(table))
	}
	if fresh {
		r.mem.WriteBarrier() // the literals that lead there come after
	}
	return nil
}

func (r *Registry) newMini(addr uint64) (uint64, error) {
	if err := r.alloc("mini-ops", 1); err != nil {
		return 0, err
	}
	mini, err := r.mem.Alloc("mini-ops of "+r.sym(addr), trampolines.MiniSize)
	if err != nil {
		return 0, err
	}
	if err := r.mem.Write(mini, r.code.Mini(addr)); err != nil {
		return 0, errors.Join(err, r.mem.Free(mini))
	}
	return mini, nil
}

// publishDirect makes a staged table the one that is in force.
func (r *Registry) publishDirect(table *hash) {
	r.direct = table
	if r.code.Direct != trampolines.DirectHash {
		return
	}
	for _, o := range r.list {
		if o.is(OpsDirect) {
			r.publishTable(o)
		}
	}
}

// publishTable has an ops' direct calls looked up in the table.
func (r *Registry) publishTable(o *Ops) {
	o.directCall = r.direct.addr
	r.mem.publish(o.addr+uint64(r.layout.Ops.DirectCall), r.direct.addr)
}

// unstageDirect undoes stageDirect: the table did not come into force.
func (r *Registry) unstageDirect(table *hash) error {
	if table.addr != 0 {
		return r.mem.Free(table.addr)
	}
	var errs []error
	for _, mini := range r.unusedMinis() {
		errs = append(errs, r.mem.Free(mini))
	}
	return errors.Join(errs...)
}

// unusedMinis takes out the mini-ops of addresses that the table in force does not have.
func (r *Registry) unusedMinis() (minis []uint64) {
	used := make(map[uint64]bool, len(r.minis))
	r.direct.each(func(e entry) { used[e.direct] = true })
	for _, addr := range slices.Sorted(maps.Keys(r.minis)) {
		if !used[addr] {
			minis = append(minis, r.minis[addr])
			delete(r.minis, addr)
		}
	}
	return minis
}

// retireDirect frees what the table in force does not need, and old did, when nothing can look
// at it any more. EDEADLK where that can't be waited for: a later operation frees it then.
//
// Differs: Linux frees the old table after synchronize_rcu_tasks alone. That does not wait for
// an idle task, which may look at the table too, here with preemption enabled; there it is disabled,
// and the grace period begins with synchronize_rcu.
func (r *Registry) retireDirect(old *hash) error {
	if r.collectUnused(old); len(r.unused) == 0 {
		return nil
	}
	if err := r.grace.SynchronizeRCUTasksRude(); err != nil {
		return err
	}
	gone := r.unused
	r.unused = nil
	r.grace.CallRCUTasks(func() { r.freeAll(gone) })
	return nil
}

// collectUnused notes what retireDirect is to free.
func (r *Registry) collectUnused(old *hash) {
	if old != nil && old.addr != 0 {
		r.unused = append(r.unused, old.addr)
	}
	r.unused = append(r.unused, r.unusedMinis()...)
}

func (r *Registry) freeAll(objects []uint64) {
	for _, addr := range objects {
		_ = r.mem.Free(addr) // it was taken from this heap
	}
}
