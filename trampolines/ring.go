package trampolines

// The ring that function_trace_call writes to, one per CPU: a header, then slots
// of one entry each, a power of two of them. It is callops' own, so its offsets
// are here and not in the kernel's layout. Package trace makes it and reads it.
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
// of slots: no writer had claimed the slot anew. Otherwise the copy may be torn.
// No step waits for the other side, and none depends on CPUs taking turns.
const (
	RingReserve = 0  // u64: entries claimed
	RingHead    = 8  // u64: entries published
	RingMask    = 16 // u64: slots-1
	RingDropped = 24 // u64: entries not written for want of a free slot
	RingEntries = 64 // the slots

	EntryCPU      = 0  // u64
	EntryIP       = 8  // u64
	EntryParentIP = 16 // u64
	EntryTime     = 24 // u64: CNTVCT_EL0

	RingEntryShift = 5 // log2 of an entry's size
)
