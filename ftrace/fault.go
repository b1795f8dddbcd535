package ftrace

import (
	"fmt"

	"callops/internal/errno"
)

// Fault is a defect that [New] builds into the core on purpose, for a checker
// to find.
type Fault uint8

// The faults.
const (
	NoFault Fault = iota

	// KeepUnique misses the update of a site when a second ops joins: the
	// record's CALL_OPS stays, and the literal still points to the first.
	KeepUnique

	// UnalignedLiteral has the literal at ip-12, not rounded down to 8. It goes
	// with trampolines.UnalignedLiteral.
	UnalignedLiteral

	// KeepSet misses the update of a site where a filter change leaves it with other ops and
	// the same flags: its literal goes on naming the set that it had.
	KeepSet

	// OldestFirst has sets hold their ops in the order in which they were registered.
	OldestFirst

	// FreeSharedSet frees a set as soon as one of its sites leaves it, after the
	// grace periods, with other sites in it.
	FreeSharedSet

	// FreeSetAtOnce frees a set without the grace periods.
	FreeSetAtOnce

	// ForgetAtOnce clears an ops' func, and frees its filter, when its last direct call has left its
	// site, as Linux does with an ops that is static. With trampolines.DirectHash.
	ForgetAtOnce

	// ReuseGraphIndex gives a graph user the index that became free last.
	ReuseGraphIndex

	// KeepShared misses the update of a site where a direct call joins two tracers or more, or leaves
	// them: the flags stay, and the literal with them. With trampolines.DirectTagged and DirectMini.
	KeepShared

	numFaults
)

var faultNames = [numFaults]string{"none", "keep-unique", "unaligned-literal", "keep-set", "oldest-first", "free-shared-set", "free-set-at-once", "forget-at-once", "reuse-graph-index", "keep-shared"}

func (f Fault) String() string {
	if f < numFaults {
		return faultNames[f]
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

func (f Fault) check(callOps bool) error {
	if f >= numFaults || f != NoFault && !callOps {
		return fmt.Errorf("fault %s, CALL_OPS %v: %w", f, callOps, errno.EINVAL)
	}
	return nil
}

// keepsUnique reports whether KeepUnique leaves a record as it is.
func (r *Registry) keepsUnique(rec *Record) bool {
	return r.fault == KeepUnique && rec.is(RecCallOpsEn) && r.prof.count(rec.Flags) > 1
}

// keepsSet reports whether KeepSet leaves a site with its set.
func (r *Registry) keepsSet() bool {
	return r.fault == KeepSet && r.sets.changing != nil && r.sets.changing.is(OpsModifying)
}

// literalOf is the address of a site's literal in this build.
func (r *Registry) literalOf(ip uint64) uint64 {
	if r.fault == UnalignedLiteral {
		return ip - 12
	}
	return literalOf(ip)
}
