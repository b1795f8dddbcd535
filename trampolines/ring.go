package trampolines

import (
	"fmt"
	"math/bits"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// A ring in emulated memory: a header, then slots of one entry each. It is
// callops' own, so its offsets are here and not in the kernel's layout.
const (
	ringReserve = 0  // entries claimed
	ringHead    = 8  // entries published
	ringMask    = 16 // slots-1, a power of two less one
	ringDropped = 24 // entries not written for want of a free slot
	ringEntries = 64

	entryCPU      = 0
	entryIP       = 8
	entryParentIP = 16
	entryTime     = 24

	ringEntryShift = 5 // log2 of an entry's size

	minRingSlots = 16
	maxRingSlots = 1 << 20
)

// Ring is what the function tracer records on one CPU. The newest entries
// overwrite the oldest.
//
// Entries are numbered from 0; entry n lies in slot n modulo their number. The
// one CPU that writes claims an entry by counting reserve up, orders that
// before what follows (DMB ISHST), fills the slot, and publishes by storing
// reserve to head with release. An interrupt may trace as well while an entry
// is being written. It claims the next, and sees by head that it is not its to
// publish; the interrupted writer publishes both, and looks again whether more
// were claimed. So all below head is complete, always.
//
// A reader loads head with acquire and copies entries below it; then it loads
// reserve. What it copied of entry n is good if reserve-n is at most the number
// of slots: nobody had claimed the slot anew. Otherwise the copy may be torn; it
// is thrown away and counted as overrun. No step waits for the other side, and
// none depends on CPUs taking turns.
type Ring struct {
	mem     *emu.Memory
	base    uint64
	slots   uint64
	next    uint64 // first entry that was not read yet
	overrun uint64
}

// Entry is one traced call.
type Entry struct {
	CPU          uint32
	IP, ParentIP uint64
	Time         uint64 // CNTVCT_EL0: instructions this CPU had executed
}

// NewRing gives a CPU a ring of at least the given number of entries, a power
// of two and no less than 16, and makes the function tracer record there. It
// takes the place of the CPU's ring so far.
func NewRing(k *kernel.Kernel, cpu int, entries int) (*Ring, error) {
	if cpu < 0 || cpu >= len(k.CPUs) || entries <= 0 || entries > maxRingSlots {
		return nil, fmt.Errorf("ring of %d entries for CPU %d: %w", entries, cpu, errno.EINVAL)
	}
	slot := k.Layout.PerCPU.RingBuffer
	if slot == kernelimage.Absent {
		return nil, fmt.Errorf("ring for CPU %d: the kernel has no place for its address: %w", cpu, errno.EOPNOTSUPP)
	}
	r := &Ring{mem: k.Mem, slots: max(minRingSlots, uint64(1)<<bits.Len(uint(entries-1)))}
	var err error
	r.base, err = k.AllocData(fmt.Sprintf("trace_ring%d", cpu), ringEntries+r.slots<<ringEntryShift, emu.Read|emu.Write)
	if err != nil {
		return nil, err
	}
	if err := k.Mem.Store64(r.base+ringMask, r.slots-1); err != nil {
		return nil, err
	}
	return r, k.Mem.Store64(k.CPUs[cpu].PerCPU+uint64(slot), r.base)
}

// Cap is how many entries the ring holds before it overwrites.
func (r *Ring) Cap() int { return int(r.slots) }

// Overrun is how many entries were overwritten before they could be read, as
// far as Read has come, plus those that were never written because an
// interrupt storm had used up all slots.
func (r *Ring) Overrun() uint64 { return r.overrun + r.load(ringDropped) }

// Read returns the entries recorded since the last Read, oldest first, and
// forgets them.
func (r *Ring) Read() []Entry {
	head := r.load(ringHead)
	r.skipTo(head - min(head, r.slots))
	if r.next == head {
		return nil
	}
	first := r.next
	entries := make([]Entry, 0, head-first)
	for ; r.next < head; r.next++ {
		at := ringEntries + (r.next&(r.slots-1))<<ringEntryShift
		entries = append(entries, Entry{
			CPU: uint32(r.load(at + entryCPU)), IP: r.load(at + entryIP),
			ParentIP: r.load(at + entryParentIP), Time: r.load(at + entryTime),
		})
	}
	reserve := r.load(ringReserve)
	lost := min(reserve-min(reserve, r.slots+first), uint64(len(entries)))
	r.overrun += lost
	return entries[lost:]
}

// skipTo gives up entries that the writer has already overwritten.
func (r *Ring) skipTo(n uint64) {
	if n > r.next {
		r.overrun += n - r.next
		r.next = n
	}
}

// load is single-copy atomic and ordered with the others. It fails only once
// the memory was closed, and then the ring is empty.
func (r *Ring) load(off uint64) uint64 {
	v, _ := r.mem.Load64(r.base + off)
	return v
}
