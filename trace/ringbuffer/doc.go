// Package ringbuffer writes and reads pages of Linux's ring buffer
// (include/linux/ring_buffer.h, kernel/trace/ring_buffer.c), as user space gets them
// from per_cpu/cpuN/trace_pipe_raw, little-endian, of a kernel with 64 bits.
//
//	page    u64 time stamp of the first event
//	        u64 commit: bytes of events, and the flags below
//	        events, 4-byte aligned
//	event   u32 type_len:5, time_delta:27
//	        u32 array[]
//
// An [Encoder] makes the pages of one CPU, [Decode] reads one. What an event's data
// means is no matter of this package.
package ringbuffer

const (
	PageSize = 4096
	// HeaderSize is that of struct buffer_data_page without its data.
	HeaderSize = 16
	// Capacity is how many bytes of events a page holds (rb_subbuf_capacity).
	Capacity = PageSize - HeaderSize
	// MaxData is the longest data of one event.
	MaxData = Capacity - wordSize - eventHeader - countSize - extendSize
)

// Flags of a page's commit.
const (
	missedEvents = 1 << 31 // events were lost before this page
	missedStored = 1 << 30 // how many is told after the last event
	missedMask   = missedEvents | missedStored
)

// enum ring_buffer_type, in type_len.
const (
	maxTypeLen = 28 // in words: data of this length at most has no length of its own
	padding    = 29
	timeExtend = 30
	timeStamp  = 31
)

const (
	wordSize    = 4
	eventHeader = 4
	extendSize  = 8
	countSize   = 8
	typeBits    = 5
	deltaBits   = 27
	typeMask    = 1<<typeBits - 1
	deltaMask   = 1<<deltaBits - 1
	stampBits   = 59 // of a time stamp in an event

	// discarded is the delta of a discarded event that had none: 0 would be padding to the end
	// of the page (rb_event_discard, rb_read_data_buffer).
	discarded = 1
)
