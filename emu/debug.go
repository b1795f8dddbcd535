package emu

import "slices"

// Debuggable is a CPU that a debugger can stop, look into and put back to where it was. It is
// used while the CPU is stopped, except for Halt.
type Debuggable interface {
	CPU

	// SetTraps has Run stop at the traps, before the instruction in question has done anything.
	// Step takes no notice of them. nil: at none. Traps are not changed afterwards.
	SetTraps(*Traps)

	// Halt has the Run in progress, or the next one, end with ExitHalted soon. Any
	// goroutine may call it.
	Halt()

	// SystemRegister reads a system register, by bits 20:5 of its MRS, that Regs does not have.
	SystemRegister(id uint16) (value uint64, ok bool)

	// SetSystemRegister is SystemRegister's MSR; it reports whether the register can be written.
	SetSystemRegister(id uint16, value uint64) bool

	// Save returns what the CPU is, other than memory, and Restore makes it that again. Recent
	// knows nothing of what was executed before Restore.
	Save() CPUState
	Restore(CPUState)

	// ForgetPages has the CPU ask memory again before it touches a page, see [StoreObserver].
	ForgetPages()
}

// CPUState is what [Debuggable].Save has saved: the registers, the count of instructions, and what only
// its engine knows.
type CPUState interface{ Count() uint64 }

// Traps are the places where a [Debuggable] CPU stops.
type Traps struct {
	Breakpoints map[uint64]bool
	Watchpoints []Watchpoint
}

// Watchpoint is a range of bytes that must not be accessed unnoticed.
type Watchpoint struct {
	Addr, Size  uint64
	Load, Store bool // which accesses
}

// Hits reports whether an access of the bytes [addr, addr+size) is one that the watchpoint is for.
func (w *Watchpoint) Hits(addr, size uint64, access Access) bool {
	return w.watches(access) && addr-w.Addr < w.Size || w.watches(access) && w.Addr-addr < size
}

func (w *Watchpoint) watches(access Access) bool {
	return access == Load && w.Load || access == Store && w.Store
}

// At reports whether there is a breakpoint at addr.
func (t *Traps) At(addr uint64) bool { return t != nil && t.Breakpoints[addr] }

// Hit returns the watchpoint that an access hits, or nil.
func (t *Traps) Hit(addr, size uint64, access Access) *Watchpoint {
	if t == nil {
		return nil
	}
	i := slices.IndexFunc(t.Watchpoints, func(w Watchpoint) bool { return w.Hits(addr, size, access) })
	if i < 0 {
		return nil
	}
	return &t.Watchpoints[i]
}

// StoreObserver is told of stores.
type StoreObserver interface {
	// HostStore is called where Go code stores to [addr, addr+size) by a method of [Memory]. It has to call
	// store, which does that.
	HostStore(addr, size uint64, store func())

	// GuestStores is called before a CPU's guest code stores to a page for the first time after its
	// ForgetPages; it may be called again.
	GuestStores(page uint64)
}

// ObserveStores has o told of stores, in the place of an observer before; nil: none. No CPU may run
// meanwhile, and each forgets its pages then.
func (m *Memory) ObserveStores(o StoreObserver) {
	if o == nil {
		m.stores.Store(nil)
		return
	}
	m.stores.Store(&o)
}

// StoreObserver returns who ObserveStores has told of stores, or nil.
func (m *Memory) StoreObserver() StoreObserver {
	if o := m.stores.Load(); o != nil {
		return *o
	}
	return nil
}
