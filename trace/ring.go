package trace

import (
	"fmt"
	"math/bits"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

const (
	minSlots = 16

	// MaxSlots is how many entries a ring may have.
	MaxSlots = 1 << 20
)

// entryFormat is how the entries of a ring are laid out.
type entryFormat struct {
	shift int // log2 of their size
	read  func(r *Ring, at uint64) Event
}

// narrow is what function_trace_call writes.
var narrow = entryFormat{trampolines.RingEntryShift, func(r *Ring, at uint64) Event {
	return Event{
		CPU: uint32(r.load(at + trampolines.EntryCPU)), IP: r.load(at + trampolines.EntryIP),
		ParentIP: r.load(at + trampolines.EntryParentIP), Time: r.load(at+trampolines.EntryTime) - r.start,
	}
}}

// Ring is what a tracer records on one CPU, by the protocol that
// [trampolines.RingReserve] describes. The newest entries overwrite the oldest;
// what was overwritten while it was read is thrown away and counted as overrun.
//
// The CPU fills it while one other goroutine reads it.
type Ring struct {
	cpu     emu.CPU
	start   uint64 // what the CPU had executed when the clock started
	mem     *emu.Memory
	base    uint64
	slots   uint64
	entry   entryFormat
	next    uint64 // first entry that was not read yet
	overrun uint64
}

// NewRing gives a CPU a ring of at least the given number of entries, a power
// of two and no less than 16, and makes the function tracer record there. It
// takes the place of the CPU's ring so far.
func NewRing(k *kernel.Kernel, cpu int, entries int) (*Ring, error) {
	if k == nil || cpu < 0 || cpu >= len(k.CPUs) || entries <= 0 || entries > MaxSlots {
		return nil, fmt.Errorf("ring of %d entries for CPU %d: %w", entries, cpu, errno.EINVAL)
	}
	slot, err := ringSlot(k)
	if err != nil {
		return nil, err
	}
	r, err := newRing(k, cpu, entries, narrow)
	if err != nil {
		return nil, err
	}
	return r, k.Mem.Store64(k.CPUs[cpu].PerCPU+slot, r.base)
}

// ringSlot is where in its per-CPU area a CPU finds its ring.
func ringSlot(k *kernel.Kernel) (uint64, error) {
	if k.Layout.PerCPU.RingBuffer == kernelimage.Absent {
		return 0, fmt.Errorf("the kernel has no place for the address of a CPU's ring: %w", errno.EOPNOTSUPP)
	}
	return uint64(k.Layout.PerCPU.RingBuffer), nil
}

// newRing makes a ring that nothing records in yet.
func newRing(k *kernel.Kernel, cpu, entries int, entry entryFormat) (*Ring, error) {
	r := &Ring{cpu: k.CPUs[cpu], mem: k.Mem, slots: max(minSlots, uint64(1)<<bits.Len(uint(entries-1))), entry: entry}
	var err error
	r.base, err = k.AllocData(fmt.Sprintf("trace_ring%d", cpu), trampolines.RingEntries+r.slots<<entry.shift, emu.Read|emu.Write)
	if err != nil {
		return nil, err
	}
	return r, k.Mem.Store64(r.base+trampolines.RingMask, r.slots-1)
}

// Rings are those of all CPUs of a kernel.
type Rings []*Ring

// NewRings gives every CPU a ring, see [NewRing]; entries is for all together.
func NewRings(k *kernel.Kernel, entries int) (Rings, error) {
	var rings Rings
	for cpu := range k.CPUs {
		r, err := NewRing(k, cpu, max(entries/len(k.CPUs), 1))
		if err != nil {
			return nil, err
		}
		rings = append(rings, r)
	}
	return rings, nil
}

// newRings makes rings that nothing records in yet.
func newRings(k *kernel.Kernel, entries int, entry entryFormat) (Rings, error) {
	var rings Rings
	for cpu := range k.CPUs {
		r, err := newRing(k, cpu, min(max(entries/len(k.CPUs), 1), MaxSlots), entry)
		if err != nil {
			return nil, err
		}
		rings = append(rings, r)
	}
	return rings, nil
}

// Start has the clock of what is recorded from now on begin at 0 on every CPU: what was executed
// to register the tracer is no part of the trace. No CPU may run meanwhile.
func (rs Rings) Start() {
	for _, r := range rs {
		r.start = r.cpu.Count()
	}
}

// Read returns what all CPUs have recorded since the last Read, by time: each CPU
// counts its own instructions, so events of different CPUs are not ordered by it.
func (rs Rings) Read() *Recording {
	f := &Recording{CPUs: len(rs), Lost: make([]uint64, len(rs))}
	events := make([][]Event, len(rs))
	for i, r := range rs {
		events[i] = r.Read()
		f.Lost[i] = r.Overrun() // which Read counts
	}
	f.Events = mergeByTime(events...)
	return f
}

// Overrun is how many entries were overwritten before they could be read, as
// far as Read has come, plus those that were never written because an
// interrupt storm had used up all slots.
func (r *Ring) Overrun() uint64 { return r.overrun + r.load(trampolines.RingDropped) }

// Read returns the events recorded since the last Read, oldest first, and
// forgets them.
func (r *Ring) Read() []Event {
	head := r.load(trampolines.RingHead)
	r.skipTo(head - min(head, r.slots))
	if r.next == head {
		return nil
	}
	first := r.next
	entries := make([]Event, 0, head-first)
	for ; r.next < head; r.next++ {
		entries = append(entries, r.entry.read(r, trampolines.RingEntries+(r.next&(r.slots-1))<<r.entry.shift))
	}
	reserve := r.load(trampolines.RingReserve)
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
