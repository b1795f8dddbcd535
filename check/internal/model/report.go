package model

import (
	"callops/check/event"
	"callops/check/internal/guest"
	"callops/check/internal/weak"
	"callops/sched"
)

// Report is what a step of a way did and saw, as facts.
type Report struct {
	Agent event.Agent
	Kind  event.Kind

	Operation string     // that begins or returns
	Wait      sched.Kind // the grace period
	Freed     []string   // what is, or will be

	// At is the address of a CPU's instruction, where it stands at one; of a
	// patcher's step the address that it is about; and what is called, of
	// CallBegins.
	At    uint64
	Word  uint32 // the instruction that a CPU executes
	Stale *Seen  // that instruction, where it is not the newest

	Reads []Seen
	Write *Stored

	// PC is the instruction of a patcher's step, where the core is an image's.
	PC uint64

	// More is how many instructions went along that others do not notice: of a CPU
	// after this one, of a patcher before it.
	More int
}

// Seen is what a CPU found at an address, and what it would have found had it
// seen everything.
type Seen struct {
	Addr, Value, Newest uint64

	Stale bool // others had stored there by then
}

// Stored is a patcher's store.
type Stored struct {
	Addr, Value, Old uint64

	Release bool
}

// report tells of a move at a time.
func (s *Subject) report(now weak.Time, mv *move) (*Report, error) {
	switch {
	case mv.call > 0:
		return &Report{Agent: event.Callback, Kind: event.CallbackRuns, Freed: s.p.named(s.p.callbacks[mv.call-1].objects)}, nil
	case mv.cpu < 0:
		return s.patchReport(mv.time), nil
	}
	r := &Report{Agent: event.CPU(mv.cpu), Kind: mv.event}
	switch mv.event {
	case event.CallBegins:
		r.At = s.m.fn(s.kinds[mv.cpu], mv.node.Call)
	case event.Preempted, event.Interrupted:
		if mv.node.Kind != guest.Between {
			r.At = mv.node.PC
		}
	case event.Execute:
		return r, s.executed(r, now, mv)
	}
	return r, nil
}

// executed tells of an instruction and what it sees.
func (s *Subject) executed(r *Report, now weak.Time, mv *move) (err error) {
	n := mv.node
	r.At = n.PC
	if r.Word, err = s.m.k.Mem.Load32(n.PC); err != nil {
		return err
	}
	if n.Fetch >= 0 {
		seen := s.seen(n.Fetch, mv.in.Version(0), now)
		r.Word = uint32(seen.Value)
		if seen.Stale {
			r.Stale = &seen
		}
	}
	if mv.to == nil {
		return nil // it was not executed
	}
	for i, ld := range n.Loads {
		r.Reads = append(r.Reads, s.seen(ld.Loc, mv.in.Version(i), now))
	}
	path, err := s.g.Path(s.kinds[mv.cpu], mv.node, mv.in)
	r.More = max(len(path)-1, 0)
	return err
}

func (s *Subject) seen(loc int, v weak.Version, now weak.Time) Seen {
	l := s.p.hist.Location(loc)
	newest := l.Latest(now)
	return Seen{Addr: l.Addr, Value: l.Value(v), Newest: l.Value(newest), Stale: newest != v}
}

// patchReport tells of a step of the core.
func (s *Subject) patchReport(t weak.Time) *Report {
	st := &s.p.steps[t]
	r := &Report{Agent: event.Patcher, Kind: st.Kind, PC: st.PC, More: max(st.Insns-1, 0)}
	switch st.Kind {
	case event.OperationBegins, event.OperationReturns:
		r.Operation = s.p.ops[st.Op].name
	case event.Store, event.StoreText:
		r.Write = &Stored{Addr: st.Addr, Value: st.Value, Old: st.Old, Release: st.Release}
	case event.CleanText:
		r.At = st.Addr
	case event.GraceBegins, event.GraceEnds:
		r.Wait = st.Wait
	case event.CallRCU:
		r.Freed = s.p.named(s.p.callbacks[st.Call].objects)
	case event.Free:
		r.Freed = []string{st.Name}
	}
	return r
}

// named names the objects of a set.
func (p *program) named(objects uint64) (names []string) {
	for i, o := range p.objects {
		if objects>>i&1 != 0 {
			names = append(names, o.name)
		}
	}
	return names
}
