package ftrace

import (
	"callops/emu"
	"callops/kernel"
)

// Memory is the one way in which the core and its Go tracers touch emulated
// memory: accesses, barriers and the heap. A model checker substitutes its own; each
// method is then a step, and other CPUs may run between two.
type Memory interface {
	Load32(addr uint64) (uint32, error)
	Load64(addr uint64) (uint64, error)

	// Store32 and Store64 are single-copy atomic and order nothing.
	Store32(addr uint64, v uint32) error
	Store64(addr uint64, v uint64) error

	// StoreRelease64 orders all earlier accesses before the store
	// (smp_store_release, rcu_assign_pointer).
	StoreRelease64(addr uint64, v uint64) error

	// Write fills memory that no CPU can reach yet.
	Write(addr uint64, p []byte) error

	// WriteBarrier is smp_wmb.
	WriteBarrier()

	// SyncText cleans and invalidates the instructions in [addr, addr+size) to
	// the point of unification. A CPU sees them after its next context
	// synchronization event (Arm ARM B2.7.4.2).
	SyncText(addr, size uint64)

	// SyncCPUs interrupts every CPU and waits until each has answered.
	SyncCPUs()

	// Alloc returns size zeroed bytes that no CPU can reach yet (kzalloc); ENOMEM
	// where there is no room. The name is for reports.
	Alloc(name string, size uint64) (uint64, error)

	// Free frees an object of Alloc (kfree); EINVAL for any other address.
	// It does not check whether a CPU still uses it.
	Free(addr uint64) error
}

// LiveMemory is the Memory of a running kernel, for another one to wrap. Its
// stores are sequentially consistent, and CPUs drop what they translated at
// SyncText, so nothing is left to do for the barriers.
func LiveMemory(k *kernel.Kernel) Memory { return liveMemory{k.Mem, k.Heap} }

type liveMemory struct {
	*emu.Memory
	heap *emu.Heap
}

func (m liveMemory) StoreRelease64(addr uint64, v uint64) error { return m.Store64(addr, v) }
func (liveMemory) WriteBarrier()                                {}
func (liveMemory) SyncCPUs()                                    {}

func (m liveMemory) Alloc(name string, size uint64) (uint64, error) { return m.heap.Alloc(name, size) }
func (m liveMemory) Free(addr uint64) error                         { return m.heap.Free(addr) }

// kmem writes kernel structures. It keeps the first error, so that a sequence
// of stores is checked once, at the end of the operation.
type kmem struct {
	Memory
	err error
}

func (m *kmem) set64(addr uint64, v uint64) {
	if m.err == nil {
		m.err = m.Store64(addr, v)
	}
}

func (m *kmem) set32(addr uint64, v uint32) {
	if m.err == nil {
		m.err = m.Store32(addr, v)
	}
}

// publish is rcu_assign_pointer.
func (m *kmem) publish(addr uint64, v uint64) {
	if m.err == nil {
		m.err = m.StoreRelease64(addr, v)
	}
}

// release frees an object of the core's own.
func (m *kmem) release(addr uint64) {
	if err := m.Free(addr); m.err == nil {
		m.err = err
	}
}

// take returns the error kept, and forgets it.
func (m *kmem) take() error {
	err := m.err
	m.err = nil
	return err
}
