package ftrace

import (
	"fmt"

	"callops/internal/errno"
)

// Match returns the records whose functions the pattern matches, in the order of Records;
// EINVAL when there are none. Patterns are those of SetFilter, without "!".
func (r *Registry) Match(pat string) ([]Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sel, err := parseSelector(pat, false)
	if err != nil {
		return nil, err
	}
	h := newHash(hashDefaultBits)
	if sel.functions.remove || !r.matchRecords(h, sel) {
		return nil, fmt.Errorf("%q matches no function: %w", pat, errno.EINVAL)
	}
	var found []Record
	for rec := range r.each() {
		if h.has(rec.IP) {
			found = append(found, *rec)
		}
	}
	return found, nil
}

// Matches is hash_contains_ip for a registered ops: it reports whether the ops is
// to be called for the call site at ip. The result is false for an ops that is nil, freed or another
// Registry's.
func (r *Registry) Matches(o *Ops, ip uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.usable(o) == nil && o.is(OpsEnabled) && o.hash.match(ip)
}
