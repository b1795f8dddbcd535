package ftrace

import (
	"fmt"
	"slices"

	"callops/internal/errno"
)

// Sites whose tracer changes where the function returns to (IPMODIFY) or that
// jump to code of a caller's own (DIRECT) can be shared only within limits.

// ipModifyUpdate is __ftrace_hash_update_ipmodify with its callers' rule that
// an empty filter, which stands for every function, is refused with EINVAL.
// EBUSY where two IPMODIFY ops, or an IPMODIFY and a DIRECT ops that can't
// share, meet; the marks are then as they were. retarget means that the ops
// stays where it is and only its direct call changes.
func (r *Registry) ipModifyUpdate(o *Ops, was, will *hash, retarget bool) error {
	if !o.is(OpsEnabled) || !o.is(OpsIPModify|OpsDirect) {
		return nil
	}
	if was.empty() || will.empty() {
		return fmt.Errorf("IPMODIFY and DIRECT need a filter: %w", errno.EINVAL)
	}
	return r.markIPModify(o, was, will, retarget)
}

// ipModifyEnable is ftrace_hash_ipmodify_enable.
func (r *Registry) ipModifyEnable(o *Ops) error {
	if !o.is(OpsIPModify | OpsDirect) {
		return nil
	}
	if o.hash.filter.empty() {
		return fmt.Errorf("IPMODIFY and DIRECT need a filter: %w", errno.EINVAL)
	}
	return r.markIPModify(o, nil, o.hash.filter, false)
}

// ipModifyDisable is ftrace_hash_ipmodify_disable, which can't fail.
func (r *Registry) ipModifyDisable(o *Ops) {
	if o.is(OpsIPModify|OpsDirect) && !o.hash.filter.empty() {
		// No site is new, so no peer is called that could refuse.
		_ = r.markIPModify(o, o.hash.filter, nil, false)
	}
}

// markIPModify moves the marks from the sites of was to those of will; nil
// stands for no site. On an error it puts back what it did.
func (r *Registry) markIPModify(o *Ops, was, will *hash, retarget bool) error {
	owner := o.is(OpsIPModify)
	var undo []*Record
	for rec := range r.each() {
		if rec.is(RecDisabled) {
			continue
		}
		in, out := will.has(rec.IP), was.has(rec.IP)
		if in == out && !retarget {
			continue
		}
		if in && rec.is(RecIPModify) {
			if err := r.shareSite(o, rec, owner, retarget); err != nil {
				for _, u := range undo {
					u.Flags ^= RecIPModify
				}
				return err
			}
			continue
		}
		if owner && rec.is(RecIPModify) != in {
			rec.Flags ^= RecIPModify
			undo = append(undo, rec)
		}
	}
	return nil
}

// shareSite handles a site that an IPMODIFY ops already owns.
func (r *Registry) shareSite(o *Ops, rec *Record, owner, retarget bool) error {
	if owner {
		return fmt.Errorf("%s has an IPMODIFY ops already: %w", r.sym(rec.IP), errno.EBUSY)
	}
	if !retarget && rec.is(RecDirect) {
		r.warn("%s has a direct call already", r.sym(rec.IP))
	}
	if o.Share == nil {
		return fmt.Errorf("%s has an IPMODIFY ops: %w", r.sym(rec.IP), errno.EBUSY)
	}
	return o.Share(o, EnableShareSelf)
}

// askDirectPeers is prepare_direct_functions_for_ipmodify: before an IPMODIFY
// ops joins, the Share of each DIRECT ops at its sites is called.
func (r *Registry) askDirectPeers(o *Ops) error {
	if !o.is(OpsIPModify) {
		return nil
	}
	return r.directPeers(o, func(peer *Ops) error {
		if peer.Share == nil {
			return fmt.Errorf("%s has a direct call to its sites: %w", peer.Name, errno.EBUSY)
		}
		return peer.Share(peer, EnableSharePeer)
	})
}

// releaseDirectPeers is cleanup_direct_functions_after_ipmodify.
func (r *Registry) releaseDirectPeers(o *Ops) {
	if !o.is(OpsIPModify) {
		return
	}
	_ = r.directPeers(o, func(peer *Ops) error {
		if peer.Share != nil {
			_ = peer.Share(peer, DisableSharePeer) // its error is ignored, as in Linux
		}
		return nil
	})
}

// directPeers calls f, site by site of o's filter, for the first listed DIRECT
// ops that shares it, until one fails.
func (r *Registry) directPeers(o *Ops, f func(*Ops) error) error {
	var err error
	o.hash.filter.each(func(e entry) {
		i := slices.IndexFunc(r.list, func(peer *Ops) bool { return peer.is(OpsDirect) && peer.hash.match(e.ip) })
		if err == nil && i >= 0 {
			err = f(r.list[i])
		}
	})
	return err
}
