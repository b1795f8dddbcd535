package difftest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernelimage"
)

// failing counts the allocations of callops' core, and has one fail.
type failing struct{ count, at uint64 }

func (f *failing) fails(string) bool {
	f.count++
	return f.count == f.at
}

// nth has the n-th allocation from now on fail, 0 none, and returns how many there were.
func (f *failing) nth(n int) uint64 {
	if f.at = 0; n > 0 {
		f.at = f.count + uint64(n)
	}
	return f.count
}

// nthOfServices is that of the kernel's.
func (s *side) nthOfServices(n int) uint64 {
	s.m.Services.FailAlloc(n)
	return s.m.Services.Allocations()
}

// warnings keeps the first WARN() of a step, and what else it logs, without the ends of lines:
// Linux ends some where callops' core goes on.
type warnings struct {
	first string
	log   strings.Builder
}

func (w *warnings) add(text string) {
	if w.first == "" {
		w.first = text
	}
}

// line is a line of the log of callops' core.
func (w *warnings) line(line string) {
	if strings.HasPrefix(line, "WARNING: ") {
		w.add(line)
		return
	}
	w.log.WriteString(line)
}

func (w *warnings) take() (first, log string) {
	first, log = w.first, w.log.String()
	w.first = ""
	w.log.Reset()
	return first, log
}

// What the Share of a DIRECT ops says.
const (
	noShare = iota // it has none
	agrees
	refuses
	numShares
)

// share is an ops' Share, whose calls are noted.
func (s *side) share(name string, kind int) func(*ftrace.Ops, ftrace.ShareCommand) error {
	if kind == noShare {
		return nil
	}
	return func(_ *ftrace.Ops, cmd ftrace.ShareCommand) error {
		s.shared += fmt.Sprintf("%s asked %d; ", name, cmd)
		if kind == refuses {
			return errno.EBUSY
		}
		return nil
	}
}

// look is what the core says of addresses.
func (s *side) look(o *ftrace.Ops, ips []uint64) string {
	var b strings.Builder
	for _, ip := range ips {
		direct := s.core.Direct(ip)
		for i, addr := range s.directs {
			if direct == addr {
				direct = uint64(i + 1)
			}
		}
		fmt.Fprintf(&b, "%#x: site %#x, direct %#x", ip, s.core.Location(ip), direct)
		if o != nil && o.Flags()&ftrace.OpsEnabled != 0 {
			fmt.Fprintf(&b, ", matches %t", s.core.Matches(o, ip))
		}
		b.WriteString("; ")
	}
	return b.String()
}

// compareState compares what the core keeps beside the records and the list: its variables,
// the fields of each ops, with all its hashes now and then, and that nothing was allocated
// and forgotten.
func (p *Pair) compareState(all bool) error {
	a, b := p.ours.core.Variables(), p.image.core.Variables()
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if v, ok := a[name]; ok && v != b[name] {
			if x, y := p.ours.describe(v), p.image.describe(b[name]); x != y {
				return p.differ(name, x, y)
			}
		}
	}
	last := -1
	if n := len(p.steps); n > 0 {
		last = p.steps[n-1].Ops
		if p.steps[n-1].Verb.direct() || all {
			if err := p.compareDirects(); err != nil {
				return err
			}
		}
	}
	for i, o := range p.ours.ops {
		other := p.image.ops[i]
		if o == nil || other == nil {
			continue
		}
		x, y := p.ours.fields(o, all || i == last), p.image.fields(other, all || i == last)
		for k := range x {
			if x[k] != y[k] {
				return p.differ(fmt.Sprintf("%s of ops%d", x[k].name, i), x[k].value, y[k].value)
			}
		}
	}
	if all && !p.cfg.Commands {
		return p.compareHeap()
	}
	return nil
}

// askedAtOnce is how many sites without a direct call the kernel is asked for, in turn.
const askedAtOnce = 256

// compareDirects compares what direct_functions has for each site: the kernel's as it lies in
// memory, and what its function finds of each entry, and of some other sites. A kernel whose symbols
// are of functions only is asked for each site.
func (p *Pair) compareDirects() error {
	recs := p.ours.core.Records()
	entries, known := p.image.directCalls()
	from := p.asked
	p.asked += askedAtOnce
	if p.asked >= len(recs) {
		p.asked = 0
	}
	for i, rec := range recs {
		ours, image := p.ours.core.Direct(rec.IP), entries[rec.IP]
		ask := !known || ours != 0 || image != 0 || i >= from && i < from+askedAtOnce
		if !ask {
			continue
		}
		a, b := p.ours.pointer(ours), p.image.pointer(p.image.core.Direct(rec.IP))
		if b == a && known {
			b = p.image.pointer(image)
		}
		if a != b {
			return p.differ("the direct call of "+p.ours.m.Kernel.Symbols.Format(rec.IP), a, b)
		}
	}
	return nil
}

// directCalls are the entries of the kernel's direct_functions, where it has a symbol.
func (s *side) directCalls() (entries map[uint64]uint64, known bool) {
	at, err := s.directFunctions()
	if err != nil {
		return nil, false
	}
	h, err := s.readHash(at)
	entries = make(map[uint64]uint64, len(h.ips))
	for i, ip := range h.ips {
		entries[ip] = h.directs[i]
	}
	return entries, err == nil
}

// directFunctions is the kernel's direct_functions; ENOENT where it has no symbol.
func (s *side) directFunctions() (uint64, error) {
	sym, err := s.m.Kernel.Symbols.Lookup("direct_functions")
	if err != nil {
		return 0, err
	}
	return s.m.Kernel.Mem.Load64(sym.Addr)
}

// field is one of an ops.
type field struct{ name, value string }

// fields are an ops', as the guest's memory has them, with the contents of its hashes.
func (s *side) fields(o *ftrace.Ops, contents bool) []field {
	l := s.m.Kernel.Layout
	var found []field
	word := func(name string, off int) uint64 {
		if off == kernelimage.Absent {
			return 0
		}
		v, err := s.m.Kernel.Mem.Load64(o.Addr() + uint64(off))
		if err != nil {
			found = append(found, field{name, err.Error()})
			return 0
		}
		found = append(found, field{name, s.pointer(v)})
		return v
	}
	word("saved_func", l.Ops.SavedFunc)
	if o.Flags()&ftrace.OpsEnabled != 0 { // one that left the list keeps it, whatever lies there since
		word("next", l.Ops.Next)
	}
	word("trampoline", l.Ops.Trampoline)
	word("direct_call", l.Ops.DirectCall)
	word("func_hash", l.Ops.FuncHash)
	word("old_hash.filter_hash", l.Ops.OldHash+l.OpsHash.Filter)
	word("old_hash.notrace_hash", l.Ops.OldHash+l.OpsHash.Notrace)
	for _, h := range []struct {
		name string
		off  int
	}{{"filter_hash", l.OpsHash.Filter}, {"notrace_hash", l.OpsHash.Notrace}} {
		at := word(h.name, l.Ops.LocalHash+h.off)
		if contents && at != 0 {
			found = append(found, field{h.name, s.hash(at)})
		}
	}
	return found
}

// pointer is what a pointer points to: an ops or what is in it, an object, or a symbol.
func (s *side) pointer(v uint64) string {
	object, found := s.m.Kernel.Heap.Lookup(v)
	for addr, i := range s.was {
		off := v - addr
		if reused := found && !object.Freed && s.ops[i] == nil; off < uint64(s.m.Kernel.Layout.Ops.Size) && !reused {
			return fmt.Sprintf("ops%d+%#x", i, off)
		}
	}
	if found {
		return "an object"
	}
	if h, err := s.readHash(v); v != 0 && err == nil && h.count == 0 && len(h.ips) == 0 {
		return "EMPTY_HASH" // the image's, or callops' own
	}
	return s.m.Kernel.Symbols.Format(v)
}

// hash is a struct ftrace_hash: its fields, and its entries from each bucket's head.
func (s *side) hash(at uint64) string {
	h, err := s.readHash(at)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("size_bits %d, count %d, flags %#x: %#x", h.bits, h.count, h.flags, h.ips)
}

type hash struct {
	bits, count, flags uint64
	ips, directs       []uint64 // of each entry
}

// Bounds of a hash that is read: of another one something is wrong.
const (
	mostBits    = 20
	mostEntries = 1 << 20
)

func (s *side) readHash(at uint64) (h hash, err error) {
	l, mem := s.m.Kernel.Layout, s.m.Kernel.Mem
	var buckets uint64
	for _, f := range []struct {
		to  *uint64
		off int
	}{{&h.bits, l.Hash.SizeBits}, {&buckets, l.Hash.Buckets}, {&h.count, l.Hash.Count}, {&h.flags, l.Hash.Flags}} {
		v, failed := mem.Load64(at + uint64(f.off))
		*f.to, err = v, errors.Join(err, failed)
	}
	if err != nil || h.bits > mostBits {
		return h, errors.Join(err, fmt.Errorf("hash at %#x: size_bits %d: %w", at, h.bits, errno.EINVAL))
	}
	if buckets == 0 { // EMPTY_HASH
		return h, nil
	}
	heads, err := mem.ReadWords(buckets, 1<<h.bits)
	for _, entry := range heads {
		for entry != 0 && err == nil && len(h.ips) < mostEntries {
			var words [3]uint64
			for i, off := range []int{l.Entry.IP, l.Entry.Direct, l.Entry.Next} {
				if words[i], err = mem.Load64(entry - uint64(l.Entry.Next) + uint64(off)); err != nil {
					return h, err
				}
			}
			h.ips, h.directs, entry = append(h.ips, words[0]), append(h.directs, words[1]), words[2]
		}
	}
	return h, err
}

// watch counts the heap's objects from now on, and forgets what starting has logged.
func (s *side) watch() {
	s.warns.take()
	s.m.Kernel.Heap.Observe(func(o emu.Object) {
		if o.Freed {
			s.live--
		} else {
			s.live++
		}
	})
}

// compareHeap compares how many objects the kernel's core has with how many it can reach: each
// ops, and the struct, the buckets and the entries of each hash.
func (p *Pair) compareHeap() error {
	s := p.image
	reach := 0
	add := func(at uint64) error {
		o, ok := s.m.Kernel.Heap.Lookup(at)
		if !ok { // NULL, or EMPTY_HASH
			return nil
		}
		h, err := s.readHash(at)
		if err != nil || o.Freed {
			return p.differ("a hash", "is there", fmt.Sprintf("%s at %#x, freed %t: %v", o.Name, at, o.Freed, err))
		}
		reach += 2 + len(h.ips)
		return nil
	}
	l := s.m.Kernel.Layout
	for _, o := range s.ops {
		if o == nil {
			continue
		}
		if _, ok := s.m.Kernel.Heap.Lookup(o.Addr()); ok {
			reach++
		}
		for _, off := range []int{l.OpsHash.Filter, l.OpsHash.Notrace} {
			at, err := s.m.Kernel.Mem.Load64(o.Addr() + uint64(l.Ops.LocalHash+off))
			if err == nil {
				err = add(at)
			}
			if err != nil {
				return err
			}
		}
	}
	if l.Ops.DirectCall != kernelimage.Absent {
		at, err := s.directFunctions()
		if err != nil {
			return nil // some of them can't be reached
		}
		if err := add(at); err != nil {
			return err
		}
	}
	if len(s.modules) > 0 {
		reach += s.liveModules
	}
	if s.live != reach {
		return p.differ("the objects that are allocated", fmt.Sprint(reach), fmt.Sprint(s.live))
	}
	return nil
}
