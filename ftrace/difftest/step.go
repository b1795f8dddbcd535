package difftest

import (
	"fmt"
	"strings"

	"callops/ftrace"
)

// Verb is what a step does.
type Verb uint8

// The verbs. Those up to Free, and Look, are about one ops.
const (
	New              Verb = iota // NewOps with Flags
	NewStatic                    // NewOps in the kernel's own data
	NewDirect                    // NewDirectOps, with the Share of Value: see [Pair.Apply]
	Filter                       // SetFilterIPs with Sites
	Glob                         // SetFilter with Pattern
	Notrace                      // SetNotrace with Pattern
	Register                     //
	Unregister                   //
	RegisterDirect               // with the direct trampoline Value
	UnregisterDirect             // likewise
	ModifyDirect                 // likewise
	Free                         // FreeFilter and FreeOps
	Switch                       // SetEnabled to Value
	Call                         // of the function Value
	Load                         // the module Value, far away with Far
	Unload                       // the module Value
	Look                         // Location, Direct and Matches of each of Sites
	Kill                         // Kill
	Break                        // writes Value over the word of Sites[0]
	numVerbs
)

var verbs = [numVerbs]string{
	"new", "new-static", "new-direct", "filter", "glob", "notrace", "register", "unregister",
	"register-direct", "unregister-direct", "modify-direct", "free", "ftrace_enabled", "call",
	"load", "unload",
	"look", "kill", "break",
}

func (v Verb) String() string {
	if v < numVerbs {
		return verbs[v]
	}
	return fmt.Sprintf("verb %d", uint8(v))
}

// ordered reports whether the order of what a step stores can matter: nobody reads what is
// freed, nor runs a module that comes or goes.
func (v Verb) ordered() bool { return v != Call && v != Free && !v.module() }

// direct reports whether direct calls change.
func (v Verb) direct() bool { return v == RegisterDirect || v == UnregisterDirect || v == ModifyDirect }

// module reports whether a module comes or goes.
func (v Verb) module() bool { return v == Load || v == Unload }

// Step is one operation.
type Step struct {
	Verb    Verb
	Ops     int            // which, by its place
	Flags   ftrace.OpsFlag // of a new one
	Sites   []uint64
	Pattern string
	Reset   bool
	Remove  bool
	Value   int
	Far     bool

	// Fail makes the kernel's nth allocation in this step fail, from 1; 0: none.
	Fail int
}

// String is the step as one line.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(s.Verb.String())
	switch s.Verb {
	case Switch:
		fmt.Fprintf(&b, " %d", s.Value)
	case Call:
		fmt.Fprintf(&b, " function %d", s.Value)
	case Load, Unload:
		fmt.Fprintf(&b, " module %d", s.Value)
	case Kill, Break:
	default:
		fmt.Fprintf(&b, " ops%d", s.Ops)
	}
	switch s.Verb {
	case New, NewStatic:
		if s.Flags != 0 {
			fmt.Fprintf(&b, " flags %#x", uint64(s.Flags))
		}
	case RegisterDirect, UnregisterDirect, ModifyDirect:
		fmt.Fprintf(&b, " direct%d", s.Value)
	case NewDirect:
		fmt.Fprintf(&b, " share %d", s.Value)
	case Filter, Look, Break:
		for _, ip := range s.Sites {
			fmt.Fprintf(&b, " %#x", ip)
		}
	case Glob, Notrace:
		fmt.Fprintf(&b, " %q", s.Pattern)
	}
	if s.Reset {
		b.WriteString(" reset")
	}
	if s.Remove {
		b.WriteString(" remove")
	}
	if s.Far {
		b.WriteString(" far")
	}
	if s.Fail > 0 {
		fmt.Fprintf(&b, ", allocation %d fails", s.Fail)
	}
	return b.String()
}
