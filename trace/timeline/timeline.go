// Package timeline lays a recording out as viewers show it: tracks, one below another,
// with slices that have a begin and an end, and instants. Package perfetto writes it, and
// [Timeline.WriteChrome].
//
// Each CPU has a track with the tasks that it runs, and below it one for each of these
// tasks, with its functions: slices where their returns were recorded, instants otherwise.
// What patches the kernel has a track of its own. Times are instructions that a CPU has
// executed, so those of different CPUs are not ordered by them.
package timeline

import "iter"

// Timeline is what a viewer shows.
type Timeline struct {
	Tracks []Track // parents come before their children
	// Events are those of each track in the order of time; slices of a track nest.
	Events iter.Seq[Event]
}

// Track is a row.
type Track struct {
	Name   string
	Parent int // index of the track that this one is below; -1: none
}

// Phase is what an event does on its track.
type Phase uint8

// The phases.
const (
	Begin   Phase = iota // of a slice
	End                  // of the slice that began last
	Instant              // has no duration
)

// Event is something on a track.
type Event struct {
	Track    int
	Phase    Phase
	Time     uint64
	Name     string // not of an end
	Category string
	Args     []Arg
}

// Arg is a detail of an event.
type Arg struct{ Name, Value string }
