// Package perfetto writes a timeline in Perfetto's format, which ui.perfetto.dev and
// trace_processor_shell open (protos/perfetto/trace/trace.proto): track descriptors, and
// track events with interned names. An instruction takes a nanosecond of the boot clock.
package perfetto

import (
	"bufio"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"callops/trace/timeline"
)

// Fields of the messages that are written, by message.
const (
	tracePacket = 1 // Trace

	packetClockSnapshot = 6 // TracePacket
	packetTimestamp     = 8
	packetSequence      = 10
	packetTrackEvent    = 11
	packetInterned      = 12
	packetFlags         = 13
	packetClock         = 58
	packetTrack         = 60
	packetFirst         = 87

	trackUUID     = 1 // TrackDescriptor
	trackName     = 2
	trackParent   = 5
	trackOrdering = 11
	trackRank     = 12
	trackMerge    = 15

	eventCategory = 3 // TrackEvent; category_iids
	eventArg      = 4
	eventType     = 9
	eventName     = 10 // name_iid
	eventTrack    = 11

	argName   = 1 // DebugAnnotation; name_iid
	argString = 6

	internedCategories = 1 // InternedData
	internedNames      = 2
	internedArgs       = 3
	internedID         = 1 // EventCategory, EventName, DebugAnnotationName
	internedText       = 2

	snapshotClock   = 1 // ClockSnapshot
	snapshotPrimary = 2
	clockID         = 1 // ClockSnapshot.Clock
	clockTime       = 2
)

const (
	sequence         = 1 // there is one writer
	flagStateCleared = 1 // SEQ_INCREMENTAL_STATE_CLEARED
	flagNeedsState   = 2 // SEQ_NEEDS_INCREMENTAL_STATE
	bootTime         = 6 // BUILTIN_CLOCK_BOOTTIME
	orderExplicit    = 3 // ChildTracksOrdering.EXPLICIT
	mergeNone        = 2 // SIBLING_MERGE_BEHAVIOR_NONE: two tasks of a name are two tracks
)

// types are TrackEvent.Type.
var types = [...]uint64{timeline.Begin: 1, timeline.End: 2, timeline.Instant: 3}

// Write writes a timeline.
func Write(w io.Writer, t *timeline.Timeline) error {
	e := &encoder{out: bufio.NewWriterSize(w, 64<<10), interned: make(map[internKey]uint64)}
	e.begin()
	for i, track := range t.Tracks {
		e.track(i, track)
	}
	for ev := range t.Events {
		if e.event(&ev); e.err != nil {
			return e.err
		}
	}
	if e.err != nil {
		return e.err
	}
	return e.out.Flush()
}

type internKey struct {
	field protowire.Number // of InternedData
	text  string
}

// encoder keeps its buffers from packet to packet.
type encoder struct {
	out      *bufio.Writer
	err      error
	interned map[internKey]uint64
	last     [internedArgs + 1]uint64 // IDs, by field

	packet, body, arg, names, head []byte
}

// begin says where the sequence begins, and that its clock does so at 0.
func (e *encoder) begin() {
	clock := appendUint(appendUint(nil, clockID, bootTime), clockTime, 0)
	snapshot := appendUint(appendBytes(nil, snapshotClock, clock), snapshotPrimary, bootTime)
	p := appendUint(nil, packetTimestamp, 0)
	p = appendUint(p, packetSequence, sequence)
	p = appendUint(p, packetFlags, flagStateCleared)
	p = appendUint(p, packetFirst, 1)
	e.put(appendBytes(p, packetClockSnapshot, snapshot))
}

func (e *encoder) track(i int, t timeline.Track) {
	d := appendUint(nil, trackUUID, uuid(i))
	d = appendBytes(d, trackName, []byte(t.Name))
	if t.Parent >= 0 {
		d = appendUint(d, trackParent, uuid(t.Parent))
	}
	d = appendUint(d, trackOrdering, orderExplicit)
	d = appendUint(d, trackRank, uint64(i))
	d = appendUint(d, trackMerge, mergeNone)
	e.put(appendBytes(appendUint(nil, packetSequence, sequence), packetTrack, d))
}

// uuid is the track's; 0 stands for no track.
func uuid(track int) uint64 { return uint64(track) + 1 }

func (e *encoder) event(ev *timeline.Event) {
	e.names = e.names[:0]
	b := appendUint(e.body[:0], eventType, types[ev.Phase])
	b = appendUint(b, eventTrack, uuid(ev.Track))
	if ev.Phase != timeline.End {
		b = appendUint(b, eventName, e.intern(internedNames, ev.Name))
		b = appendUint(b, eventCategory, e.intern(internedCategories, ev.Category))
	}
	for _, a := range ev.Args {
		e.arg = appendUint(e.arg[:0], argName, e.intern(internedArgs, a.Name))
		e.arg = appendBytes(e.arg, argString, []byte(a.Value))
		b = appendBytes(b, eventArg, e.arg)
	}
	e.body = b
	p := appendUint(e.packet[:0], packetTimestamp, ev.Time)
	p = appendUint(p, packetClock, bootTime)
	p = appendUint(p, packetSequence, sequence)
	p = appendUint(p, packetFlags, flagNeedsState)
	if len(e.names) > 0 {
		p = appendBytes(p, packetInterned, e.names)
	}
	e.packet = appendBytes(p, packetTrackEvent, b)
	e.put(e.packet)
}

// intern returns the ID of a text, which the packet that is being made defines where it is
// new.
func (e *encoder) intern(field protowire.Number, text string) uint64 {
	key := internKey{field, text}
	if id, ok := e.interned[key]; ok {
		return id
	}
	e.last[field]++
	id := e.last[field]
	e.interned[key] = id
	def := appendBytes(appendUint(nil, internedID, id), internedText, []byte(text))
	e.names = appendBytes(e.names, field, def)
	return id
}

func (e *encoder) put(packet []byte) {
	if e.err != nil {
		return
	}
	e.head = protowire.AppendTag(e.head[:0], tracePacket, protowire.BytesType)
	e.head = protowire.AppendVarint(e.head, uint64(len(packet)))
	if _, e.err = e.out.Write(e.head); e.err == nil {
		_, e.err = e.out.Write(packet)
	}
}

func appendUint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}
