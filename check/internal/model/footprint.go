package model

import (
	"fmt"
	"maps"
	"slices"

	"callops/asm/effects"
	"callops/emu/record"
	"callops/kernel"
)

// footprint is what an operation of an image's own core touched, and which locks it
// took and released meanwhile. Operations of several patchers are recorded one after another,
// in every order. That is all that may happen where locks order the operations: where
// of each two accesses to the same word, of which one stores, the earlier one comes before a release of
// a lock that the other operation takes before the later one. raced finds those
// that no lock orders. To tell what they read, the search would have to interleave the patchers'
// own loads.
type footprint struct {
	words map[uint64]*touched // by address, of words
	locks []locking
	at    int             // instructions so far
	takes map[uint64]bool // by entry of a function that takes or releases the lock in x0: takes
}

// touched is how a word was accessed: when first, when last, and where.
type touched struct {
	first, last     int // in instructions
	stores          bool
	firstPC, lastPC uint64
}

// locking is a lock that is taken or released.
type locking struct {
	at    int
	lock  uint64
	takes bool
}

// lockFuncs take or release the lock that x0 points to. Those that may fail are not among them:
// ftrace uses none.
var lockFuncs = map[string]bool{
	"mutex_lock": true, "mutex_lock_nested": true, "mutex_unlock": false,
	"_raw_spin_lock": true, "_raw_spin_lock_irq": true, "_raw_spin_lock_irqsave": true,
	"_raw_spin_unlock": false, "_raw_spin_unlock_irq": false, "_raw_spin_unlock_irqrestore": false,
	"down_write": true, "up_write": false,
}

func newFootprint(k *kernel.Kernel) footprint {
	f := footprint{takes: map[uint64]bool{}}
	for name, takes := range lockFuncs {
		if sym, err := k.Symbols.Lookup(name); err == nil {
			f.takes[sym.Addr] = takes
		}
	}
	f.reset()
	return f
}

func (f *footprint) reset() { f.words, f.locks, f.at = map[uint64]*touched{}, nil, 0 }

// taken returns what was noted since reset.
func (f *footprint) taken() *footprint { return &footprint{words: f.words, locks: f.locks} }

// insn notes an instruction, all but its accesses.
func (f *footprint) insn(in *record.Insn) {
	f.at++
	if takes, ok := f.takes[in.PC]; ok {
		f.locks = append(f.locks, locking{f.at, in.Before.X[0], takes})
	}
}

// access notes one. Atomic ones are ordered by themselves: they are what locks are made of.
func (f *footprint) access(in *record.Insn, a *record.Access) {
	if in.Exclusive || in.Access == effects.LoadsAndStores {
		return
	}
	const word = 4
	for at := a.Addr &^ (word - 1); at < a.Addr+a.Size; at += word {
		t := f.words[at]
		if t == nil {
			t = &touched{first: f.at, firstPC: in.PC}
			f.words[at] = t
		}
		t.last, t.lastPC, t.stores = f.at, in.PC, t.stores || a.Store
	}
}

// raced returns an error for a word that two operations access, a before b, one of them to
// store, without a lock that orders them.
func raced(k *kernel.Kernel, a, b *footprint, names [2]string) error {
	for _, at := range slices.Sorted(maps.Keys(a.words)) {
		x, y := a.words[at], b.words[at]
		if y == nil || !x.stores && !y.stores || handedOver(a, x.last, b, y.first) {
			continue
		}
		return fmt.Errorf("%s and %s both access %s, at %s and %s, and no lock orders them: what is read there can't be told from runs one after another",
			names[0], names[1], k.Symbols.Format(at), k.Symbols.Format(x.lastPC), k.Symbols.Format(y.firstPC))
	}
	return nil
}

// handedOver reports whether a releases a lock after x that b takes before y.
func handedOver(a *footprint, x int, b *footprint, y int) bool {
	for _, r := range a.locks {
		if r.takes || r.at < x {
			continue
		}
		if slices.ContainsFunc(b.locks, func(l locking) bool { return l.takes && l.lock == r.lock && l.at <= y }) {
			return true
		}
	}
	return false
}
