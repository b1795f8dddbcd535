package check

import (
	"fmt"

	"callops/check/property"
)

// Finding is a rule of its own that Linux breaks: the number that it has in
// docs/findings.md. The zero value is none.
type Finding int

// The findings that a search can come to.
const (
	NoFinding            Finding = 0
	ProtectionLost       Finding = 1 // the last ops of a site loses its RCU or recursion protection
	CallsMissed          Finding = 3 // a registered ops may miss calls that begin after register has returned
	ListEndAsOps         Finding = 4 // without CALL_OPS, a func can be called with ftrace_list_end as its ops
	HashFreedUnderReader Finding = 5 // a replaced filter hash can be freed under a reader that RCU is not watching
)

// Breaks returns the property that does not hold because of the finding.
func (f Finding) Breaks() property.Property {
	return map[Finding]property.Property{
		ProtectionLost:       property.Protected,
		CallsMissed:          property.EveryCallSeen,
		ListEndAsOps:         property.FuncHasItsOps,
		HashFreedUnderReader: property.NoUseAfterFree,
	}[f]
}

func (f Finding) String() string { return fmt.Sprintf("finding %d", int(f)) }
