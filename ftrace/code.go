package ftrace

import "fmt"

// command selects what to change: FTRACE_UPDATE_CALLS and the like in
// include/linux/ftrace.h.
type command uint8

const (
	updateCalls     command = 1 << iota // patch every record whose state differs from its flags
	disableCalls                        // make every enabled record a NOP
	updateTraceFunc                     // change what the shared trampoline calls
)

// runUpdate is ftrace_modify_all_code. arm64 does not stop the machine for it:
// sites change one by one under running CPUs.
func (r *Registry) runUpdate(cmd command) {
	if cmd&updateTraceFunc != 0 && !r.switchFunc(r.code.ListFunc) {
		// The list function checks the hashes of every ops, so it is correct while some
		// sites are old and some new.
		return
	}
	switch {
	case cmd&updateCalls != 0:
		r.replaceCode(true)
	case cmd&disableCalls != 0:
		r.replaceCode(false)
	}
	if fn := r.wantedFunc(); cmd&updateTraceFunc != 0 && fn != r.code.ListFunc {
		// The new ops must be visible before the function that is called with it.
		r.mem.set64(r.code.FunctionTraceOp, r.setTraceOp)
		r.mem.WriteBarrier()
		r.mem.SyncCPUs()
		r.switchFunc(fn)
	}
}

// switchFunc is update_ftrace_func.
func (r *Registry) switchFunc(fn uint64) bool {
	if fn == r.calledFunc {
		return true
	}
	r.calledFunc = fn
	if err := r.updateTraceFunc(fn); err != nil {
		r.warn("ftrace_call can't be made to call %s: %v", r.sym(fn), err)
		return false
	}
	return true
}

// replaceCode is ftrace_replace_code. The walk ends at the first record that
// can't be patched, which kills ftrace.
func (r *Registry) replaceCode(enable bool) {
	if r.Dead() {
		return
	}
	for rec := range r.each() {
		if rec.skip() {
			continue
		}
		if typ, err := r.replaceRecord(rec, enable); err != nil {
			r.reportBug(typ, err, rec)
			return
		}
	}
}

// replaceRecord is __ftrace_replace_code.
func (r *Registry) replaceRecord(rec *Record, enable bool) (bugType, error) {
	// Both addresses depend on the flags as they were, the literal's ops on the
	// flags as they will be.
	addr, old := r.newAddr(rec), r.currentAddr(rec)
	act, flags := r.prof.check(rec.Flags, enable)
	if enable && r.keepsUnique(rec) {
		return bugUnknown, nil
	}
	if act == ignore {
		if !r.outdated(rec) || !rec.is(RecEnabled) || r.keepsSet() {
			return bugUnknown, nil
		}
		return bugUpdate, r.setOps(rec) // other ops, and the same flags
	}
	rec.Flags = flags
	switch act {
	case makeCall:
		return bugCall, r.makeCall(rec, addr)
	case modifyCall:
		return bugUpdate, r.modifyCall(rec, old, addr)
	default:
		return bugNop, r.makeNop(rec, old)
	}
}

// newAddr is ftrace_get_addr_new: what the site has to call by its flags.
func (r *Registry) newAddr(rec *Record) uint64 {
	if rec.is(RecDirect) && r.prof.count(rec.Flags) == 1 {
		if addr := r.directOf(rec.IP); addr != 0 {
			return addr
		}
		r.warnOnce("ftrace_get_addr_new", "no direct call for %s", rec.IP)
	}
	if rec.is(RecTramp) {
		for _, o := range r.list {
			if o.hash.match(rec.IP) {
				if o.trampoline != 0 {
					return o.trampoline
				}
				break
			}
		}
		r.badAccounting(rec, fmt.Sprintf(" (%x)", uint32(rec.Flags)))
	}
	return r.callerFor(rec.is(RecRegs))
}

// callerFor is FTRACE_ADDR, or FTRACE_REGS_ADDR where an ops wants all registers and the
// kernel has it.
func (r *Registry) callerFor(regs bool) uint64 {
	if regs && r.withRegs() {
		return r.code.RegsCaller
	}
	return r.code.Caller
}

// withRegs is CONFIG_DYNAMIC_FTRACE_WITH_REGS, which arm64 has until 6.2.
func (r *Registry) withRegs() bool { return r.code.RegsCaller != 0 }

// currentAddr is ftrace_get_addr_curr: what the site calls now.
func (r *Registry) currentAddr(rec *Record) uint64 {
	if rec.is(RecDirectEn) && r.directOf(rec.IP) == 0 {
		r.warnOnce("ftrace_get_addr_curr", "no direct call for %s", rec.IP)
	}
	addr, ok := r.calledAddr(rec)
	if !ok {
		r.badAccounting(rec, "")
	}
	return addr
}

// badAccounting is the end of ftrace where a site is to call, or calls, the trampoline of no ops.
func (r *Registry) badAccounting(rec *Record, flags string) {
	r.warn("%#x has the trampoline of no ops", rec.IP)
	r.printk(fmt.Sprintf("Bad trampoline accounting at: %s (%s)%s", hashedPointer, r.sym(rec.IP), flags))
}

// hashedPointer is what %p prints before the kernel has random numbers (ptr_to_id, lib/vsprintf.c).
const hashedPointer = "(____ptrval____)"

// calledAddr is currentAddr without its warnings; ok is false where the site
// has a trampoline that belongs to no ops.
func (r *Registry) calledAddr(rec *Record) (addr uint64, ok bool) {
	if rec.is(RecDirectEn) {
		if addr := r.directOf(rec.IP); addr != 0 {
			return addr, true
		}
	}
	if rec.is(RecTrampEn) {
		if o := r.currentTrampolineOps(rec.IP); o != nil {
			return o.trampoline, true
		}
		return r.callerFor(rec.is(RecRegsEn)), false
	}
	return r.callerFor(rec.is(RecRegsEn)), true
}

func (r *Registry) directOf(ip uint64) uint64 {
	if e := r.direct.lookup(ip); e != nil {
		return e.direct
	}
	return 0
}

// selectFunc is update_ftrace_function: what the shared trampoline should
// call, and with which ops. It is computed with CALL_OPS too, as in Linux.
func (r *Registry) selectFunc() {
	var fn uint64
	switch len(r.list) {
	case 0:
		r.setTraceOp, fn = r.code.ListEnd, r.code.Stub
	case 1:
		o := r.list[0]
		r.setTraceOp, fn = o.addr, r.opsFunc(o)
		if o.is(OpsDynamic | OpsRCU) {
			fn = r.code.ListFunc // ftrace_ops_get_list_func
		}
	default:
		r.setTraceOp, fn = r.code.ListEnd, r.code.ListFunc
	}
	r.traceFunc = fn
}
