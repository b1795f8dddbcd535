package schedule

// eventKind is what an event is.
type eventKind uint8

const (
	eventCall  eventKind = iota // a thread makes a call
	eventProbe                  // a probe is called
)

// event is what the host saw of a schedule.
type event struct {
	time   uint64
	cpu    int
	thread int // -1: none of the workload's
	kind   eventKind
	name   string
}

func (l *Lab) event(cpu, thread int, kind eventKind, name string) {
	if l.record {
		l.events = append(l.events, event{l.m.Now(), cpu, thread, kind, name})
	}
}
