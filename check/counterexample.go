package check

import (
	"callops/check/event"
	"callops/check/property"
)

// Counterexample is a shortest way to break a property, or one of several.
type Counterexample struct {
	Scenario string            `json:"scenario"`
	Mutation string            `json:"mutation,omitempty"`
	Kernel   string            `json:"kernel,omitempty"` // the image, where it is not the built-in kernel
	CPUs     int               `json:"cpus"`
	Property property.Property `json:"property"`
	Claim    string            `json:"claim"`  // the property as a sentence
	Detail   string            `json:"detail"` // what was found instead
	Steps    []Step            `json:"steps"`
	Token    string            `json:"token"` // for Replay
}

// Step is one step of a counterexample.
type Step struct {
	Agent event.Agent `json:"agent"`
	Event event.Kind  `json:"event"`

	Where  string  `json:"where,omitempty"` // symbol+offset of the instruction; of a patcher's where its code is an image's
	Does   string  `json:"does"`            // the instruction, or what happens
	Reads  []Read  `json:"reads,omitempty"`
	Writes []Write `json:"writes,omitempty"`

	// Newest is the instruction that the place held by then, where the CPU
	// executed an older one.
	Newest string `json:"newest,omitempty"`

	// More is how many instructions went along that others do not notice: of a CPU
	// after this one, of a patcher before it.
	More int `json:"more,omitempty"`
}

// Read is something read.
type Read struct {
	What  string `json:"what"`
	Value string `json:"value"`

	// Stale reports whether it held Newest by then: the CPU had not seen that yet.
	Stale  bool   `json:"stale,omitempty"`
	Newest string `json:"newest,omitempty"`
}

// Write is something written, and what it held before.
type Write struct {
	What  string `json:"what"`
	Value string `json:"value"`
	Old   string `json:"old"`
}
