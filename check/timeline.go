package check

import (
	"fmt"

	"callops/check/event"
	"callops/trace/timeline"
)

// stepTime is what a step takes on a timeline, whose times are in nanoseconds there.
const stepTime = 1000

// Categories of a counterexample's events, beside the names of their kinds.
const (
	catOperation = "operation"
	catCall      = "call"
	catStale     = "stale"
	catBroken    = "broken"
)

// Timeline lays counterexamples out for a viewer: a track each, and below it one for the
// patcher and for each CPU. A step is a slice of a microsecond, within the operation or the call that it belongs
// to. What a CPU saw that was no longer so is an instant, as is what is broken in the end.
func Timeline(list []*Counterexample) *timeline.Timeline {
	t := &timeline.Timeline{}
	tracks := make([]map[event.Agent]int, len(list))
	for i, c := range list {
		root := len(t.Tracks)
		t.Tracks = append(t.Tracks, timeline.Track{Name: c.title(), Parent: -1})
		tracks[i] = make(map[event.Agent]int)
		for _, agent := range c.agents() {
			tracks[i][agent] = len(t.Tracks)
			t.Tracks = append(t.Tracks, timeline.Track{Name: agent.String(), Parent: root})
		}
	}
	t.Events = func(yield func(timeline.Event) bool) {
		for i, c := range list {
			if !c.lay(tracks[i], yield) {
				return
			}
		}
	}
	return t
}

// title says of what it is a counterexample.
func (c *Counterexample) title() string {
	title := c.Scenario
	if c.Mutation != "" {
		title += " with " + c.Mutation
	}
	if c.Kernel != "" {
		title += ", " + c.Kernel
	}
	return title
}

// agents are those that do something, and all CPUs.
func (c *Counterexample) agents() []event.Agent {
	list := []event.Agent{event.Patcher}
	for i := range c.Steps {
		if c.Steps[i].Agent == event.Callback {
			list = append(list, event.Callback)
			break
		}
	}
	for cpu := range c.CPUs {
		list = append(list, event.CPU(cpu))
	}
	return list
}

// brackets are the steps that open a slice around those that follow, and what closes it.
var brackets = map[event.Kind]struct {
	category string
	closes   event.Kind
}{
	event.OperationBegins: {catOperation, event.OperationReturns},
	event.CallBegins:      {catCall, event.CallReturns},
}

// lay yields the events of a counterexample, and reports whether more are wanted.
func (c *Counterexample) lay(tracks map[event.Agent]int, yield func(timeline.Event) bool) bool {
	open := make(map[event.Agent][]event.Kind) // what closes them
	for i := range c.Steps {
		s := &c.Steps[i]
		track, begin, end := tracks[s.Agent], uint64(i)*stepTime, uint64(i+1)*stepTime
		b, opens := brackets[s.Event]
		if opens {
			if !yield(timeline.Event{Track: track, Phase: timeline.Begin, Time: begin, Name: short(s.Does), Category: b.category}) {
				return false
			}
			open[s.Agent] = append(open[s.Agent], b.closes)
		}
		if !yield(timeline.Event{Track: track, Phase: timeline.Begin, Time: begin, Name: s.name(), Category: s.Event.String(), Args: s.args(i)}) {
			return false
		}
		for _, name := range s.stale() {
			if !yield(timeline.Event{Track: track, Phase: timeline.Instant, Time: begin, Name: name, Category: catStale}) {
				return false
			}
		}
		if !yield(timeline.Event{Track: track, Phase: timeline.End, Time: end}) {
			return false
		}
		if list := open[s.Agent]; len(list) > 0 && list[len(list)-1] == s.Event {
			open[s.Agent] = list[:len(list)-1]
			if !yield(timeline.Event{Track: track, Phase: timeline.End, Time: end}) {
				return false
			}
		}
	}
	return c.end(tracks, open, yield)
}

// end closes what is still open, and says what is broken where the last step was done.
func (c *Counterexample) end(tracks map[event.Agent]int, open map[event.Agent][]event.Kind, yield func(timeline.Event) bool) bool {
	at := uint64(len(c.Steps)) * stepTime
	last := tracks[event.Patcher]
	if n := len(c.Steps); n > 0 {
		last = tracks[c.Steps[n-1].Agent]
	}
	broken := timeline.Event{
		Track: last, Phase: timeline.Instant, Time: at, Name: "broken: " + c.Claim, Category: catBroken,
		Args: []timeline.Arg{{Name: "found", Value: c.Detail}, {Name: "property", Value: c.Property.String()}, {Name: "replay", Value: c.Token}},
	}
	if !yield(broken) {
		return false
	}
	for _, agent := range c.agents() {
		for range open[agent] {
			if !yield(timeline.Event{Track: tracks[agent], Phase: timeline.End, Time: at}) {
				return false
			}
		}
	}
	return true
}

// name is what a slice is called.
func (s *Step) name() string {
	name := short(s.Does)
	if len(s.Writes) > 0 {
		name += ": " + s.Writes[0].What
	}
	return name
}

// args are the details of step number i, from 0.
func (s *Step) args(i int) []timeline.Arg {
	args := []timeline.Arg{{Name: "step", Value: fmt.Sprint(i + 1)}}
	if s.Where != "" {
		args = append(args, timeline.Arg{Name: "where", Value: s.Where})
	}
	for i := range s.Reads {
		args = append(args, timeline.Arg{Name: "reads", Value: s.Reads[i].String()})
	}
	for _, w := range s.Writes {
		args = append(args, timeline.Arg{Name: "writes", Value: fmt.Sprintf("%s := %s (was %s)", w.What, short(w.Value), short(w.Old))})
	}
	if s.More > 0 {
		args = append(args, timeline.Arg{Name: "more", Value: fmt.Sprint(s.More)})
	}
	return args
}

// stale is what the step saw, or executed, that was no longer so.
func (s *Step) stale() (list []string) {
	if s.Newest != "" {
		list = append(list, "stale instruction: now "+short(s.Newest))
	}
	for _, r := range s.Reads {
		if r.Stale {
			list = append(list, fmt.Sprintf("stale read: %s = %s, now %s", r.What, short(r.Value), short(r.Newest)))
		}
	}
	return list
}
