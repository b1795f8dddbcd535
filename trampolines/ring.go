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

// Entries of a wide ring, which trace_graph_entry, trace_graph_return and function_args_trace_call
// write: more than function_trace_call records, by the same protocol.
const (
	WideCPU      = 0  // u32
	WideKind     = 4  // u32: one of the kinds below
	WideIP       = 8  // u64
	WideTime     = 16 // u64: CNTVCT_EL0, of a return that at which the function returned
	WidePID      = 24 // u32: of the task
	WideDepth    = 28 // s32: of a graph entry or return
	WideParentIP = 32 // u64: of an entry or a call
	WideCallTime = 32 // u64: of a return
	WideRetVal   = 40 // u64: of a return
	WideArgs     = 64 // u64 x 8: x0..x7 of an entry with WideHasArgs, and of a call

	WideEntryShift = 7 // log2 of an entry's size

	WideEntry   = 0
	WideReturn  = 1
	WideCall    = 2
	WideHasArgs = 1 << 8 // of an entry
)

// The instance that fgraph_ops.private of trace_graph_entry and trace_graph_return points to: what
// Linux has in struct trace_array, ftrace_graph_hash, ftrace_graph_notrace_hash and fgraph_max_depth.
const (
	InstanceFilters = 0  // struct ftrace_ops *: its filter is set_graph_function, its notrace hash set_graph_notrace
	InstanceDepth   = 8  // u32: max_graph_depth, 0 for any
	InstanceArgs    = 12 // u32: arguments are recorded
	InstanceRings   = 64 // u64 a CPU: its wide ring, or NULL
)
