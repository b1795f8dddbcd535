package ftrace

import (
	"errors"
	"fmt"

	"callops/asm"
	"callops/kernelimage"
)

// Validate compares the Registry with the emulated memory and with itself, and
// returns every broken invariant: counts, list links, flags, hashes, site words
// and literals. What a dead ftrace left half done is reported too. Nothing changes.
func (r *Registry) Validate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := []error{r.validateList()}
	for _, o := range r.list {
		errs = append(errs, r.validateOps(o))
	}
	for rec := range r.each() {
		errs = append(errs, r.validateRecord(rec))
	}
	errs = append(errs, r.validateSets())
	return errors.Join(errs...)
}

// expect compares a doubleword of emulated memory.
func (r *Registry) expect(what string, addr, want uint64) error {
	have, err := r.mem.Load64(addr)
	if err == nil && have != want {
		err = fmt.Errorf("%s: memory at %#x holds %#x, expected %#x", what, addr, have, want)
	}
	return err
}

func (r *Registry) validateList() error {
	at := r.code.OpsList
	var errs []error
	for _, o := range r.list {
		errs = append(errs, r.expect("list before "+o.Name, at, o.addr))
		at = o.addr + uint64(r.layout.Ops.Next)
	}
	return errors.Join(append(errs, r.expect("end of the list", at, r.code.ListEnd))...)
}

func (r *Registry) validateOps(o *Ops) error {
	l := &r.layout.Ops
	errs := []error{
		r.expect(o.Name+" func", o.addr+uint64(l.Func), o.Func()),
		r.expect(o.Name+" flags", o.addr+uint64(l.Flags), uint64(o.Flags())),
		r.expect(o.Name+" trampoline", o.addr+uint64(l.Trampoline), o.trampoline),
	}
	for _, kind := range []filterKind{filterHash, notraceHash} {
		h := o.hashOf(kind)
		errs = append(errs, r.expect(fmt.Sprintf("%s %s", o.Name, kind), r.hashSlot(o, kind), r.hashAddr(h)))
		if h != nil && h.addr != 0 {
			errs = append(errs, r.expect(fmt.Sprintf("%s %s count", o.Name, kind), h.addr+uint64(r.layout.Hash.Count), uint64(h.count)),
				r.expect(fmt.Sprintf("%s %s flags", o.Name, kind), h.addr+uint64(r.layout.Hash.Flags), h.flags()))
		}
	}
	if l.DirectCall != kernelimage.Absent {
		errs = append(errs, r.expect(o.Name+" direct_call", o.addr+uint64(l.DirectCall), o.directCall))
	}
	return errors.Join(errs...)
}

func (r *Registry) validateRecord(rec *Record) error {
	want := 0
	for _, o := range r.list {
		if o.is(OpsEnabled) && o.hash.match(rec.IP) {
			want++
		}
	}
	var errs []error
	if n := r.prof.count(rec.Flags); n != want {
		errs = append(errs, fmt.Errorf("%s: count %d, but %d registered ops match", r.sym(rec.IP), n, want))
	}
	if r.callOps {
		errs = append(errs, r.validateLiteral(rec))
	}
	word := asm.NOP
	if rec.is(RecEnabled) {
		addr, ok := r.calledAddr(rec)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: its trampoline belongs to no ops", r.sym(rec.IP)))
		}
		bl, err := r.branchTo(rec.IP, addr)
		errs = append(errs, err)
		word = bl
	}
	return errors.Join(append(errs, r.expectWord(rec.IP, word), r.expectWord(rec.IP-insnSize, asm.MovX9LR))...)
}

func (r *Registry) expectWord(pc uint64, want uint32) error {
	have, err := r.mem.Load32(pc)
	if err == nil && have != want {
		err = fmt.Errorf("%s: holds %s, expected %s", r.sym(pc), r.disasm(pc, have), r.disasm(pc, want))
	}
	return err
}

func (r *Registry) validateLiteral(rec *Record) error {
	want := r.code.OpsLiteral(r.code.ListOps)
	direct, leads := r.directLiteral(rec)
	switch {
	case !rec.is(RecEnabled):
		want = r.code.OpsLiteral(r.code.NopOps)
	case leads:
		want = direct
	case r.prof.ifCallOps(rec.Flags)&RecCallOpsEn != 0:
		want = 0
		if o := r.uniqueOps(rec.IP, nil); o != nil {
			want = r.code.OpsLiteral(o.addr)
		}
	case r.sets != nil:
		return r.validateShared(rec)
	}
	return r.expect("literal of "+r.sym(rec.IP), r.literalOf(rec.IP), want)
}
