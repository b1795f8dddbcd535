package ftrace

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"callops/internal/errno"
)

type filterKind uint8

const (
	filterHash filterKind = iota
	notraceHash
)

func (k filterKind) String() string {
	if k == notraceHash {
		return "notrace"
	}
	return "filter"
}

// FilterOptions control how a filter is edited; nil adds to the current one.
type FilterOptions struct {
	Reset  bool // empty it first
	Remove bool // take the functions out, as "!" before a pattern does
}

// SetFilter is ftrace_set_filter: it adds the functions that the pattern
// matches to the ops' filter, or takes them out when the pattern begins with
// "!". Patterns are those of set_ftrace_filter: a name, abc*, *abc, *abc*, a
// glob with ? [a-z] \c, or a number (the place in available_filter_functions,
// with C's number prefixes), and at most 669 bytes. Functions are
// matched without their module. An empty filter stands for every function;
// the empty pattern with Reset makes it so.
//
// FUNC:mod:MODULE takes those of a module that both patterns match: with MODULE *
// of any module, with !MODULE of all else, with !* of the kernel. Where it
// matches nothing and no module of that name is loaded, it waits for one, see
// [Registry.Waiting], and a filter with nothing else stands for no function.
// !FUNC:mod:MODULE ends such a wait.
//
// EINVAL when nothing matches; the filter is then as it was.
func (r *Registry) SetFilter(o *Ops, pat string, opts *FilterOptions) error {
	return r.setPattern(o, filterHash, pat, opts)
}

// SetNotrace is ftrace_set_notrace: SetFilter for the functions to leave out.
func (r *Registry) SetNotrace(o *Ops, pat string, opts *FilterOptions) error {
	return r.setPattern(o, notraceHash, pat, opts)
}

// SetFilterIP is ftrace_set_filter_ip: it adds the call site at ip (or of the
// function that begins there) to the filter, or removes it. EINVAL where there
// is no site, ENOENT for a removal of what is not in the filter.
func (r *Registry) SetFilterIP(o *Ops, ip uint64, opts *FilterOptions) error {
	return r.SetFilterIPs(o, []uint64{ip}, opts)
}

// SetFilterIPs is ftrace_set_filter_ips: all of them, or none on an error.
func (r *Registry) SetFilterIPs(o *Ops, ips []uint64, opts *FilterOptions) error {
	if opts == nil {
		opts = &FilterOptions{}
	}
	return r.setHash(o, filterHash, opts.Reset, func(work *filterEdit) error {
		work.waiting, work.keeps = o.waiting[filterHash], true
		for _, ip := range ips {
			if err := r.editIP(work.hash, ip, opts.Remove); err != nil {
				return err
			}
		}
		return nil
	})
}

// editIP is __ftrace_match_addr.
func (r *Registry) editIP(h *hash, ip uint64, remove bool) error {
	site := r.location(ip)
	switch {
	case site == 0:
		return fmt.Errorf("%s is not a call site: %w", r.sym(ip), errno.EINVAL)
	case remove && !h.remove(site):
		return fmt.Errorf("%s is not in the filter: %w", r.sym(site), errno.ENOENT)
	case !remove && !h.has(site):
		return r.addEntry(h, entry{ip: site})
	}
	return nil
}

func (r *Registry) setPattern(o *Ops, kind filterKind, pat string, opts *FilterOptions) error {
	if opts == nil {
		opts = &FilterOptions{}
	}
	return r.setHash(o, kind, opts.Reset, func(work *filterEdit) error {
		if pat == "" && opts.Reset {
			return nil
		}
		o.commands = o.commands || strings.Contains(pat, ":")
		sel, err := parseSelector(pat, opts.Remove)
		switch {
		case err != nil:
			return err
		case r.matchRecords(work.hash, sel):
			return nil
		case sel.module == nil:
			return fmt.Errorf("%s %q matches no function: %w", kind, pat, errno.EINVAL)
		}
		work.waiting, err = r.wait(work.waiting, sel.waits)
		return err
	})
}

// matchRecords is match_records: whether anything matched. Where memory runs out, the
// functions up to there have been taken, and it says that something matched, as Linux does:
// the negative errno is not 0.
func (r *Registry) matchRecords(h *hash, sel *selector) bool {
	p := &sel.functions
	if p.kind == matchIndex {
		i, err := strconv.ParseUint(cNumber(p.text), 0, 63)
		if err != nil || i == 0 || r.nth(i-1) == nil {
			return false
		}
		_ = r.enterRecord(h, r.nth(i-1), p.remove) // Linux does not ask either (add_rec_by_index)
		return true
	}
	found := false
	for rec := range r.each() {
		if rec.is(RecDisabled) {
			continue
		}
		if name, module, ok := r.k.Symbols.FormatName(rec.IP); ok && sel.match(name, module) {
			if r.enterRecord(h, rec, p.remove) != nil {
				return true
			}
			found = true
		}
	}
	return found
}

// cNumber leaves to strconv only what kstrtoul knows too: no underscores, no
// 0b and 0o prefixes.
func cNumber(s string) string {
	for i, c := range []byte(s) {
		hex := len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x'
		if c >= '0' && c <= '9' || hex && (i == 1 || c|0x20 >= 'a' && c|0x20 <= 'f') {
			continue
		}
		return ""
	}
	return s
}

// enterRecord is enter_record.
func (r *Registry) enterRecord(h *hash, rec *Record, remove bool) error {
	switch {
	case remove:
		h.remove(rec.IP)
	case !h.has(rec.IP):
		return r.addEntry(h, entry{ip: rec.IP})
	}
	return nil
}

// filterEdit is a working copy of a filter, and of what it gets of modules.
type filterEdit struct {
	hash    *hash
	waiting []modFilter
	keeps   bool // no control file: what waits stays, and the copy's flags too
}

// setHash is ftrace_set_hash, and for what waits for modules ftrace_regex_release:
// edit works on a copy, which replaces the ops' only when all of it succeeded.
func (r *Registry) setHash(o *Ops, kind filterKind, reset bool, edit func(*filterEdit) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(o); err != nil {
		return fmt.Errorf("set %s: %w", kind, err)
	}
	r.initOps(o)
	if r.Dead() {
		return r.done(fmt.Sprintf("set %s of %s", kind, o.Name), r.dead())
	}
	var from *hash
	work := &filterEdit{}
	if !reset {
		from, work.waiting = o.hashOf(kind), slices.Clone(o.waiting[kind])
	}
	var err error
	if work.hash, err = r.copyHash(from); err == nil {
		err = edit(work)
	}
	if err == nil {
		if !work.keeps { // ftrace_regex_release
			work.hash.mod = kind == filterHash && len(work.waiting) > 0
		}
		err = r.moveHash(o, kind, work.hash)
	}
	if err == nil {
		o.waiting[kind] = work.waiting
	}
	return r.done(fmt.Sprintf("set %s of %s", kind, o.Name), err)
}

func (o *Ops) hashOf(kind filterKind) *hash {
	if kind == notraceHash {
		return o.hash.notrace
	}
	return o.hash.filter
}

// moveHash is ftrace_hash_move_and_update_ops: a working copy becomes the ops'
// hash, and sites follow when the ops is live.
func (r *Registry) moveHash(o *Ops, kind filterKind, work *hash) error {
	if o.is(OpsIPModify) && kind == notraceHash {
		return fmt.Errorf("notrace on an IPMODIFY ops: %w", errno.EINVAL)
	}
	fresh, err := r.commit(fmt.Sprintf("%s hash of %s", kind, o.Name), work)
	if err != nil {
		return err
	}
	return r.moveCommitted(o, kind, fresh)
}

// moveCommitted is moveHash of one that is in emulated memory.
func (r *Registry) moveCommitted(o *Ops, kind filterKind, fresh *hash) error {
	if o.is(OpsSubop) {
		return r.moveSubopHash(o, kind, fresh)
	}
	if kind == filterHash {
		if err := r.ipModifyUpdate(o, o.hash.filter, fresh, false); err != nil {
			return errors.Join(err, r.discard(fresh))
		}
	}
	old := o.hash
	// Counted out by the old hash, in by the new: a record in both may pass
	// through 0 without being patched.
	leave, join := func() { r.count(o, false) }, func() { r.count(o, true) }
	if kind == notraceHash && r.prof.notraceApart {
		leave, join = func() { r.countNotrace(o, true) }, func() { r.countNotrace(o, false) }
	}
	leave()
	gone := r.replaceHash(o, kind, fresh)
	join()

	if r.on() && o.is(OpsEnabled) {
		r.addFlags(o, OpsModifying)
		r.setOldHash(o, old)
		r.runUpdate(updateCalls)
		r.setOldHash(o, hashes{})
		r.dropFlags(o, OpsModifying)
	}
	r.discardLater(gone)
	return nil
}

// replaceHash publishes an ops' new hash, and returns the one that it had.
func (r *Registry) replaceHash(o *Ops, kind filterKind, fresh *hash) (gone *hash) {
	at := &o.hash.filter
	if kind == notraceHash {
		at = &o.hash.notrace
	}
	gone, *at = *at, fresh
	r.mem.publish(r.hashSlot(o, kind), r.hashAddr(fresh))
	return gone
}

// discardLater is free_ftrace_hash_rcu.
func (r *Registry) discardLater(h *hash) {
	if h != nil && h != r.emptyHash {
		r.grace.CallRCU(func() { _ = r.discard(h) }) // it was taken from this heap
	}
}

// commit puts a working copy into emulated memory.
func (r *Registry) commit(name string, work *hash) (*hash, error) {
	h := work.shrink()
	if h == nil {
		return r.emptyHash, nil
	}
	if err := r.allocHash(); err != nil {
		return nil, err
	}
	addr, err := r.mem.Alloc(name, h.size(r.layout))
	if err != nil {
		return nil, err
	}
	h.addr = addr
	if err := r.mem.Write(addr, h.image(r.layout, addr)); err != nil {
		return nil, errors.Join(err, r.discard(h))
	}
	return h, nil
}

// discard is free_ftrace_hash.
func (r *Registry) discard(h *hash) error {
	if h == nil || h == r.emptyHash {
		return nil
	}
	return r.mem.Free(h.addr)
}

// FreeFilter is ftrace_free_filter: it frees both hashes of an ops that is not
// registered any more. EBUSY where it still is: Linux would leave it with
// freed hashes.
func (r *Registry) FreeFilter(o *Ops) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(o); err != nil {
		return fmt.Errorf("free filter: %w", err)
	}
	if o.is(OpsEnabled) {
		return fmt.Errorf("free filter of %s, which is registered: %w", o.Name, errno.EBUSY)
	}
	return r.done("free filter of "+o.Name, r.freeFilter(o))
}

func (r *Registry) freeFilter(o *Ops) error {
	r.initOps(o)
	err := errors.Join(r.discard(o.hash.filter), r.discard(o.hash.notrace))
	o.hash, o.waiting, o.commands = hashes{}, [2][]modFilter{}, false
	r.mem.set64(r.hashSlot(o, filterHash), 0)
	r.mem.set64(r.hashSlot(o, notraceHash), 0)
	return err
}
