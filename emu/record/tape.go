package record

import (
	"encoding/binary"
	"fmt"

	"callops/asm"
	"callops/asm/effects"
	"callops/emu"
	"callops/emu/isa"
)

// Kind is what an [Effect] is.
type Kind uint8

// Kinds of effects.
const (
	Store    Kind = iota + 1 // which orders nothing
	Release                  // a store after all earlier accesses (STLR, rcu_assign_pointer)
	Order                    // earlier stores before later ones (DMB ISHST, smp_wmb)
	Complete                 // earlier stores are visible to all from here on (DSB)
	Clean                    // Complete, and changed instructions are cleaned and invalidated to the point of unification
)

var kindNames = [...]string{Store: "store", Release: "store-release", Order: "order", Complete: "complete", Clean: "clean"}

func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("effect(%d)", uint8(k))
	}
	return kindNames[k]
}

// Effect is what other CPUs can see of one CPU's instructions.
type Effect struct {
	Kind Kind
	PC   uint64 // the instruction that made it

	// Of a store they are a word or a doubleword, aligned, and what it holds
	// after and before; of Clean what has been cleaned.
	Addr, Size, Value, Old uint64

	// Whole numbers the store that this one is a part of, where one was not
	// single-copy atomic; 0 where it was.
	Whole int

	// Insns is how many instructions were executed since the effect before,
	// the one at PC included.
	Insns int
}

// Tape turns the instructions of one CPU into effects. Stores come in program order; a
// barrier is one effect, and none where no store was made since an effect that orders as much.
type Tape struct {
	// Private reports whether no other CPU accesses an address: stores to it
	// have no effect. nil: there is none.
	Private func(addr uint64) bool
	// Text reports whether an address holds instructions: stores to it have to be cleaned. nil: none does.
	Text func(addr uint64) bool

	mem    *emu.Memory
	emit   func(Effect)
	caches caches
	insns  int
	whole  int
	// What has been ordered, or completed, since the last store.
	ordered, completed bool
}

// NewTape makes a tape that gives each effect to emit, of a CPU of mem. Its caches
// are those that CTR_EL0 of this machine tells of.
func NewTape(mem *emu.Memory, emit func(Effect)) *Tape {
	ctr, _ := isa.Lookup(asm.CTR_EL0)
	return &Tape{mem: mem, emit: emit, caches: newCaches(ctr.Value)}
}

// Insn notes an instruction that was executed.
func (t *Tape) Insn(in *Insn) error {
	t.insns++
	for i := range in.Accesses {
		if a := &in.Accesses[i]; a.Store {
			if err := t.store(in.PC, *a, in.Release); err != nil {
				return err
			}
		}
	}
	switch {
	case in.Access == effects.LoadsAndStores && in.Acquire && in.Release && stores(in):
		// It orders as a full barrier does (B2.3.7, barrier-ordered-before).
		t.barrier(in.PC, Order)
	case in.Cache != effects.NoCacheOp:
		t.caches.maintain(in.Cache, in.Maintained)
	case in.Barrier:
		t.orders(in)
	}
	return nil
}

func stores(in *Insn) bool {
	for i := range in.Accesses {
		if in.Accesses[i].Store {
			return true
		}
	}
	return false
}

// Stored notes a store that the host made in the CPU's place, after it was made:
// size bytes at addr, old before.
func (t *Tape) Stored(pc, addr, size, old uint64) error {
	v, err := load(t.mem, addr, size)
	if err != nil {
		return err
	}
	return t.store(pc, Access{Addr: addr, Size: size, Store: true, Value: v, Old: old}, false)
}

// Cleaned notes that the host cleaned and invalidated size bytes of text in the CPU's
// place, to the point of unification.
func (t *Tape) Cleaned(pc, addr, size uint64) {
	if t.caches.forget(addr, size) {
		t.tell(Effect{Kind: Clean, PC: pc, Addr: addr, Size: size})
		t.ordered, t.completed = true, true
		return
	}
	t.barrier(pc, Complete)
}

// CRm of a barrier.
const (
	accessStores = 2 // bits 1:0; with loads 3
	accessAll    = 3
	nonShareable = 1 // bits 3:2
)

// orders is DMB and DSB. Maintenance waits for those of loads and stores
// only (D7.5, "Ordering and completion of data and instruction cache
// instructions").
func (t *Tape) orders(in *Insn) {
	if in.Domain>>2 == nonShareable || in.Domain&accessStores == 0 {
		return
	}
	if !in.Waits {
		t.barrier(in.PC, Order)
		return
	}
	if in.Domain&accessAll == accessAll {
		if cleaned := t.caches.complete(); len(cleaned) > 0 {
			for _, r := range cleaned {
				t.tell(Effect{Kind: Clean, PC: in.PC, Addr: r.addr, Size: r.size})
			}
			t.ordered, t.completed = true, true
			return
		}
	}
	t.barrier(in.PC, Complete)
}

// barrier tells of a barrier, unless nothing is left for it to do.
func (t *Tape) barrier(pc uint64, kind Kind) {
	if t.completed || kind == Order && t.ordered {
		return
	}
	t.ordered, t.completed = true, kind == Complete
	t.tell(Effect{Kind: kind, PC: pc})
}

func (t *Tape) tell(e Effect) {
	e.Insns, t.insns = t.insns, 0
	t.emit(e)
}

// store tells of a store, in the words that it is made of.
func (t *Tape) store(pc uint64, a Access, release bool) error {
	if t.Private != nil && t.Private(a.Addr) {
		return nil
	}
	kind := Store
	if release {
		kind = Release
	}
	const doubleword, word = 8, 4
	t.ordered, t.completed = false, false
	if a.Size == doubleword && a.Addr%doubleword == 0 {
		t.stored(Effect{Kind: kind, PC: pc, Addr: a.Addr, Size: doubleword, Value: a.Value, Old: a.Old})
		return nil
	}
	first, end := a.Addr&^(word-1), a.Addr+a.Size
	whole := 0
	if end > first+word {
		t.whole++
		whole = t.whole
	}
	for at := first; at < end; at += word {
		v, old, err := t.around(a, at, word)
		if err != nil {
			return err
		}
		t.stored(Effect{Kind: kind, PC: pc, Addr: at, Size: word, Value: v, Old: old, Whole: whole})
	}
	return nil
}

// around is what size bytes at addr, which the store is a part of, hold after and before it.
func (t *Tape) around(a Access, addr, size uint64) (value, old uint64, err error) {
	var b [8]byte
	if err := t.mem.Read(addr, b[:size]); err != nil {
		return 0, 0, err
	}
	value = binary.LittleEndian.Uint64(b[:])
	for i := range size {
		if at := addr + i; at >= a.Addr && at < a.Addr+a.Size {
			b[i] = byte(a.Old >> (8 * (at - a.Addr)))
		}
	}
	return value, binary.LittleEndian.Uint64(b[:]), nil
}

func (t *Tape) stored(e Effect) {
	if t.Text != nil && t.Text(e.Addr) {
		t.caches.dirty(e.Addr, e.Size)
	}
	t.tell(e)
}
