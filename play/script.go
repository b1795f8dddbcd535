package play

import (
	"fmt"

	"callops/internal/errno"
)

// Limits of a script, which comes from a page.
const (
	MaxActions      = 64
	MaxCalls        = 8
	MaxOps          = 16
	MaxInstructions = 20000   // of all calls together
	MaxFrames       = 200_000 // a store in each call site of a kernel has one
)

// Script is a call, and what is done to ftrace meanwhile.
type Script struct {
	Scheme  string   `json:"scheme"` // of ftrace.SchemeNames; "" is the first
	Func    string   `json:"func"`
	Args    []uint64 `json:"args"`
	Calls   int      `json:"calls"` // how often it is called, one call after the other; 1 when 0
	Actions []Action `json:"actions"`
}

// Action is an operation of ftrace. It is done once so many instructions have been executed, or
// after the last call where there are fewer, and never before those that are listed before it.
type Action struct {
	At     int    `json:"at"`
	Do     Verb   `json:"do"`
	Ops    string `json:"ops"`    // which is made by its first registration
	Filter string `json:"filter"` // of Register: the functions that it traces
}

// Verb is what an Action does.
type Verb string

// The verbs.
const (
	Register   Verb = "register"
	Unregister Verb = "unregister" // and free it
)

// check refuses a script that asks for too much, with EINVAL.
func (s *Script) check() error {
	switch {
	case len(s.Actions) > MaxActions:
		return fmt.Errorf("%d actions, more than %d: %w", len(s.Actions), MaxActions, errno.EINVAL)
	case s.Calls < 0 || s.Calls > MaxCalls:
		return fmt.Errorf("%d calls, which is not between 1 and %d: %w", s.Calls, MaxCalls, errno.EINVAL)
	}
	for i, a := range s.Actions {
		if a.Do != Register && a.Do != Unregister {
			return fmt.Errorf("action %d does %q: %w", i, a.Do, errno.EINVAL)
		}
	}
	return nil
}
