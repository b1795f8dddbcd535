package schedule

import (
	"context"
	"fmt"

	"callops/trace/timeline"
)

// event is what the host saw of a schedule, on a track of its timeline.
type event struct {
	cpu    int
	thread bool // on the track of the CPU's thread, and not the CPU's own
	timeline.Event
}

// event keeps an event of a schedule that is recorded.
func (l *Lab) event(cpu int, thread bool, phase timeline.Phase, category, name string, args ...timeline.Arg) {
	if !l.record {
		return
	}
	e := timeline.Event{Phase: phase, Time: l.m.Now() - l.began, Name: name, Category: category, Args: args}
	l.events = append(l.events, event{cpu, thread, e})
}

// The categories of events.
const (
	categoryTurn    = "turn"
	categoryStep    = "step"
	categoryProbe   = "probe"
	categoryFailure = "failure"
)

// Record is [Lab.Run], with the schedule as a viewer shows it: each CPU's turns, and below them the steps of its thread and the probes that
// were called. Time is the kernel's.
func (l *Lab) Record(ctx context.Context, p Policy) (*Outcome, *timeline.Timeline, error) {
	l.record = true
	defer func() { l.record = false }()
	o, err := l.Run(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	if o.Failure != nil {
		l.event(l.last, false, timeline.Instant, categoryFailure, o.Failure.Error())
	}
	t := &timeline.Timeline{}
	for cpu := range l.m.CPUs() {
		t.Tracks = append(t.Tracks, timeline.Track{Name: fmt.Sprintf("CPU %d", cpu), Parent: -1})
	}
	tracks := make(map[int]int)
	for _, th := range l.setup.threads[1:] {
		tracks[th.cpu] = len(t.Tracks)
		t.Tracks = append(t.Tracks, timeline.Track{Name: th.name, Parent: th.cpu})
	}
	events := l.events
	t.Events = func(yield func(timeline.Event) bool) {
		for _, e := range events {
			e.Track = e.cpu
			if e.thread {
				e.Track = tracks[e.cpu]
			}
			if !yield(e.Event) {
				return
			}
		}
	}
	return o, t, nil
}
