package ftrace

import (
	"errors"
	"fmt"
	"slices"

	"callops/kernelimage"
)

// validateShared checks the literal of a site that shares: a set of exactly the
// ops that the list function would call, or ftrace_list_ops.
func (r *Registry) validateShared(rec *Record) error {
	literal, err := r.mem.Load64(r.literalOf(rec.IP))
	members := r.membersOf(rec.IP)
	switch s := r.sets.byAddr[literal]; {
	case err != nil || literal == r.code.ListOps:
		return err
	case s == nil && (len(members) > 0 || literal != r.code.NopOps):
		return fmt.Errorf("%s: its literal %#x is no set", r.sym(rec.IP), literal)
	case s != nil && !slices.Equal(s.members, members):
		return fmt.Errorf("%s: its set is %v, but %v match", r.sym(rec.IP), s.members, members)
	}
	return nil
}

// validateSets checks every set, and how many sites name it.
func (r *Registry) validateSets() error {
	if r.sets == nil {
		return nil
	}
	sites := map[uint64]int{}
	for rec := range r.each() {
		literal, err := r.mem.Load64(r.literalOf(rec.IP))
		if err != nil {
			return err
		}
		sites[literal]++
	}
	errs := []error{}
	if n := sites[r.code.ListOps]; n != r.sets.onList {
		errs = append(errs, fmt.Errorf("%d sites are counted on the list, and %d are", r.sets.onList, n))
	}
	if len(r.sets.byAddr) != len(r.sets.byMembers) || len(r.sets.byAddr) > r.sets.limit {
		errs = append(errs, fmt.Errorf("%d sets by address, %d by members, limit %d", len(r.sets.byAddr), len(r.sets.byMembers), r.sets.limit))
	}
	for _, s := range r.sets.byAddr {
		if s.sites != sites[s.addr] || s.sites == 0 && !s.retired {
			errs = append(errs, fmt.Errorf("set %v: %d sites, but %d literals name it; retired %v", s.members, s.sites, sites[s.addr], s.retired))
		}
		errs = append(errs, r.validateSet(s))
	}
	return errors.Join(errs...)
}

func (r *Registry) validateSet(s *set) error {
	l := &r.layout.Ops
	what := fmt.Sprintf("set %v", s.members)
	fn := r.code.SetFunc
	var errs []error
	at := s.addr + uint64(l.Size)
	for _, o := range s.members {
		if o.is(OpsRecursion | OpsRCU) {
			fn = r.code.SetAssistFunc
		}
		errs = append(errs, r.expect(what+": "+o.Name, at, o.addr))
		at += 8
	}
	errs = append(errs, r.expect(what+": end", at, 0), r.expect(what+": func", s.addr+uint64(l.Func), fn))
	if l.DirectCall != kernelimage.Absent {
		errs = append(errs, r.expect(what+": direct_call", s.addr+uint64(l.DirectCall), 0))
	}
	return errors.Join(errs...)
}
