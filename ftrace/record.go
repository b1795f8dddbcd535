package ftrace

// Record is struct dyn_ftrace: one call site.
type Record struct {
	IP    uint64 // the word that toggles between NOP and BL
	Flags RecFlags

	leads bool // the literal leads to a direct call, past the ops
	stale bool // under Sets: an ops has joined or left since the literal was stored
}

func (r *Record) is(f RecFlags) bool { return r.Flags&f != 0 }

// skip is skip_record: a disabled record is left alone, unless it is already
// enabled and the accounting must go on.
func (r *Record) skip() bool { return r.is(RecDisabled) && !r.is(RecEnabled) }

// action is what a site needs: FTRACE_UPDATE_* in include/linux/ftrace.h.
type action uint8

const (
	ignore action = iota
	makeCall
	modifyCall
	makeNop
)

// check is ftrace_check_record: what a record's flags ask for when calls are
// switched on (enable) or off, and the flags that it has once that is done.
func (p profile) check(f RecFlags, enable bool) (action, RecFlags) {
	if f&RecDisabled != 0 && f&RecEnabled == 0 {
		return ignore, f
	}
	if enable && p.count(f) > 0 {
		mismatch := p.mismatch(f)
		if f&RecEnabled != 0 && mismatch == 0 {
			return ignore, f
		}
		act := modifyCall
		if f&RecEnabled == 0 {
			act = makeCall
		}
		return act, p.applied(f, mismatch)
	}
	if f&RecEnabled == 0 {
		return ignore, f
	}
	if p.count(f) == 0 {
		return makeNop, f & p.noClear()
	}
	return makeNop, f &^ (RecEnabled | RecTrampEn | RecRegsEn | RecDirectEn | p.ifCallOps(RecCallOpsEn))
}

// wishes pairs each wish with the state it becomes. The alone ones take effect
// only while a single ops is counted.
var wishes = []struct {
	wish, state RecFlags
	alone       bool
}{
	{RecRegs, RecRegsEn, false},
	{RecTramp, RecTrampEn, false},
	{RecDirect, RecDirectEn, true},
	{RecCallOps, RecCallOpsEn, true},
}

// mismatch returns the wishes whose state differs.
func (p profile) mismatch(f RecFlags) RecFlags {
	var m RecFlags
	for _, w := range wishes {
		if w.wish == RecCallOps && !p.callOps {
			continue
		}
		want := f&w.wish != 0 && (!w.alone || p.count(f) == 1)
		if want != (f&w.state != 0) {
			m |= w.wish
		}
	}
	return m
}

// applied returns the flags of an enabled record whose mismatches are mended.
func (p profile) applied(f, mismatch RecFlags) RecFlags {
	f |= RecEnabled | p.history&RecTouched
	if f&(RecDirect|RecIPModify) != 0 {
		f |= p.history & RecModified
	}
	for _, w := range wishes {
		if mismatch&w.wish != 0 {
			f ^= w.state
		}
	}
	return f
}

// ifCallOps is f where the profile has the CALL_OPS bits: elsewhere they
// belong to the count.
func (p profile) ifCallOps(f RecFlags) RecFlags {
	if p.callOps {
		return f
	}
	return 0
}
