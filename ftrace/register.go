package ftrace

import (
	"errors"
	"fmt"
	"slices"

	"callops/internal/errno"
)

// Register is register_ftrace_function: from its return on, every call of a
// site that the ops matches calls its func. EBUSY when the ops is registered
// already, or PERMANENT while ftrace is switched off, or an IPMODIFY ops meets
// another; EINVAL for a func of 0 and flags that arm64 can't serve; ENODEV once
// ftrace is dead.
func (r *Registry) Register(o *Ops) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(o); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return r.done("register "+o.Name, r.registerLocked(o))
}

func (r *Registry) registerLocked(o *Ops) error {
	if o.Func() == 0 {
		return fmt.Errorf("func is 0: %w", errno.EINVAL)
	}
	if err := r.askDirectPeers(o); err != nil {
		return err
	}
	r.initOps(o)
	return r.startup(o)
}

// Unregister is unregister_ftrace_function: after its return the ops is on no
// site, and a DYNAMIC one is no longer in use. EBUSY when it is not
// registered, ENODEV once ftrace is dead (it stays listed then), EDEADLK when
// a grace period can't end, after which the ops must not be freed.
func (r *Registry) Unregister(o *Ops) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(o); err != nil {
		return fmt.Errorf("unregister: %w", err)
	}
	return r.done("unregister "+o.Name, r.unregisterLocked(o))
}

// unregisterLocked tells the DIRECT ops of o's sites even where o could not be
// unregistered, as in Linux.
func (r *Registry) unregisterLocked(o *Ops) error {
	err := r.shutdown(o)
	r.releaseDirectPeers(o)
	return err
}

// done ends an operation: it names it, adds a store that failed on the way, and
// tells when the operation was the end of ftrace.
func (r *Registry) done(what string, err error) error {
	if r.sets != nil {
		r.sets.end()
	}
	if err == nil && r.Dead() {
		err = r.dead()
	}
	if err = errors.Join(err, r.mem.take()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// startup is ftrace_startup.
func (r *Registry) startup(o *Ops) error {
	if r.Dead() {
		return r.dead()
	}
	if err := r.listOps(o); err != nil {
		return err
	}
	r.startUp++
	r.addFlags(o, OpsEnabled|OpsAdding)
	if err := r.ipModifyEnable(o); err != nil {
		// ADDING stays set, as in Linux.
		r.unlistOps(o)
		r.startUp--
		r.dropFlags(o, OpsEnabled)
		return err
	}
	var cmd command
	if r.count(o, true) {
		cmd |= updateCalls
	}
	cmd |= r.funcChanged()
	if cmd != 0 && r.on() {
		r.runUpdate(cmd)
	}
	if r.Dead() {
		// Counts and ENABLED stay as they are: rolling back could do more harm.
		r.unlistOps(o)
		return r.dead()
	}
	r.dropFlags(o, OpsAdding)
	return nil
}

// funcChanged asks for updateTraceFunc when the selection is not the one last
// acted upon.
func (r *Registry) funcChanged() command {
	fn := r.wantedFunc()
	if r.savedFunc == fn {
		return 0
	}
	r.savedFunc = fn
	return updateTraceFunc
}

// shutdown is ftrace_shutdown.
func (r *Registry) shutdown(o *Ops) error {
	if r.Dead() {
		return r.dead()
	}
	if !o.is(OpsEnabled) {
		r.printk("WARNING: " + o.Name + " is not registered")
		return fmt.Errorf("not registered: %w", errno.EBUSY)
	}
	r.unlistOps(o)
	r.startUp--
	r.ipModifyDisable(o)
	var cmd command
	if r.count(o, false) {
		cmd |= updateCalls
	}
	r.dropFlags(o, OpsEnabled)
	cmd |= r.funcChanged()
	if cmd != 0 && r.on() {
		r.removeFromText(o, cmd)
	}
	if !o.is(OpsDynamic) {
		return nil
	}
	if err := r.waitForReaders(); err != nil {
		return err
	}
	r.freeSets()
	return nil
}

// removeFromText patches the sites that an ops has left.
func (r *Registry) removeFromText(o *Ops, cmd command) {
	r.addFlags(o, OpsRemoving)
	r.removed = o
	r.setOldHash(o, o.hash)
	r.runUpdate(cmd)
	if len(r.list) == 0 {
		r.checkFlagsCleared()
	}
	r.setOldHash(o, hashes{})
	r.removed = nil
	r.dropFlags(o, OpsRemoving)
}

// checkFlagsCleared is ftrace_shutdown's look at the records when the last ops
// has left. Linux fails it where an ops with SAVE_REGS came and left while
// ftrace was switched off: what clears REGS is the patching of an enabled site.
func (r *Registry) checkFlagsCleared() {
	warned := false
	for rec := range r.each() {
		if rec.Flags&^r.prof.noClear() == 0 {
			continue
		}
		if !warned {
			warned = true
			r.warn("no ops is registered, but there are flags left")
		}
		r.printk(fmt.Sprintf("  %s flags:%x", r.sym(rec.IP), uint32(rec.Flags)))
	}
}

// listOps is __register_ftrace_function.
func (r *Registry) listOps(o *Ops) error {
	switch {
	case o.is(OpsDeleted):
		return fmt.Errorf("deleted: %w", errno.EINVAL)
	case o.is(OpsEnabled):
		r.printk("WARNING: " + o.Name + " is registered already")
		return fmt.Errorf("registered already: %w", errno.EBUSY)
	case !r.withRegs() && o.is(OpsSaveRegs) && !o.is(OpsSaveRegsIfSupported):
		return fmt.Errorf("SAVE_REGS, which arm64 does not support: %w", errno.EINVAL)
	}
	if !r.withRegs() && o.is(OpsSaveRegsIfSupported) {
		r.addFlags(o, OpsSaveRegs)
	}
	if !r.on() && o.is(OpsPermanent) {
		return fmt.Errorf("PERMANENT, and ftrace is switched off: %w", errno.EBUSY)
	}
	if !o.core {
		r.addFlags(o, OpsDynamic)
	}
	// A reader that finds the ops on the list must find its next.
	r.mem.publish(o.addr+uint64(r.layout.Ops.Next), r.listHead())
	r.mem.publish(r.code.OpsList, o.addr)
	r.list = slices.Insert(r.list, 0, o)
	r.setSavedFunc(o, o.Func())
	if r.on() {
		r.selectFunc()
	}
	return nil
}

func (r *Registry) listHead() uint64 {
	if len(r.list) == 0 {
		return r.code.ListEnd
	}
	return r.list[0].addr
}

// unlistOps is __unregister_ftrace_function. The ops keeps its next: readers
// may stand on it.
func (r *Registry) unlistOps(o *Ops) {
	i := slices.Index(r.list, o)
	if i < 0 {
		return
	}
	next := r.code.ListEnd
	if i+1 < len(r.list) {
		next = r.list[i+1].addr
	}
	switch { // remove_ftrace_ops releases only where the list becomes empty
	case len(r.list) == 1:
		r.mem.publish(r.code.OpsList, next)
	case i == 0:
		r.mem.set64(r.code.OpsList, next)
	default:
		r.mem.set64(r.list[i-1].addr+uint64(r.layout.Ops.Next), next)
	}
	r.list = slices.Delete(r.list, i, i+1)
	if r.on() {
		r.selectFunc()
	}
	r.setFunc(o, o.savedFunc)
}

// Enabled is the value of sysctl kernel.ftrace_enabled, and ENODEV once ftrace
// is dead.
func (r *Registry) Enabled() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Dead() {
		return 0, r.dead()
	}
	return r.enabled, nil
}

// SetEnabled writes sysctl kernel.ftrace_enabled: 0 makes every site a NOP and
// leaves ops registered, anything else switches them on again. EBUSY while a
// PERMANENT ops is registered, EINVAL for what is no C int, EOPNOTSUPP for 0 where the kernel
// is 7.x, whose ftrace stays on.
func (r *Registry) SetEnabled(v int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Dead() {
		return r.dead()
	}
	if v != int(int32(v)) {
		return fmt.Errorf("ftrace_enabled: %d: %w", v, errno.EINVAL)
	}
	was := r.enabled
	r.enabled = v
	switch {
	case (v != 0) == (was != 0):
	case v != 0:
		if len(r.list) > 0 {
			r.selectFunc()
		}
		r.savedFunc = 0 // whatever was called before, look again
		if r.startUp > 0 {
			r.runUpdate(updateCalls | r.funcChanged())
		}
	case r.prof.staysOn:
		if r.first("ftrace_enable_sysctl") {
			r.printk("The ftrace_enabled file is deprecated and no longer disables ftrace")
		}
		r.enabled = 1
		return fmt.Errorf("switch ftrace off: %w", errno.EOPNOTSUPP)
	default:
		if i := slices.IndexFunc(r.list, func(o *Ops) bool { return o.is(OpsPermanent) }); i >= 0 {
			r.enabled = 1
			return fmt.Errorf("switch ftrace off: %s is PERMANENT: %w", r.list[i].Name, errno.EBUSY)
		}
		r.traceFunc = r.code.Stub
		if r.startUp > 0 {
			r.runUpdate(disableCalls)
		}
	}
	return r.done("ftrace_enabled", nil)
}
