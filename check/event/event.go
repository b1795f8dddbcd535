// Package event names the events in package check's searches, and the agents that cause them.
package event

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is what a step is. The names are stable.
type Kind uint8

// Kinds of what the patchers do.
const (
	None             Kind = iota
	OperationBegins       // ftrace_lock is taken
	OperationReturns      // and the caller goes on
	Store                 // to data
	StoreText             // to an instruction
	WriteBarrier          // smp_wmb
	DataBarrier           // DSB: earlier stores are visible to all
	CleanText             // instructions are cleaned and invalidated to the point of unification
	InterruptAll          // every CPU is sent an interrupt
	AllAnswered           // and has answered
	GraceBegins           // a grace period is waited for
	GraceEnds             // and has ended
	CallRCU               // a callback is handed over, to run after a grace period
	Free                  // memory is freed

	CallbackRuns // of one that was handed over

	// What a CPU does.
	Execute     // an instruction
	CallBegins  // a function is called
	CallReturns // and has returned
	GateReturns // the operation that a tracer started has returned
	Schedule    // the task leaves its CPU voluntarily, and resumes
	Preempted   // it is taken off its CPU, and resumes
	Interrupted // the CPU answers an interrupt

	count
)

var names = [count]string{
	None: "", OperationBegins: "operation-begins", OperationReturns: "operation-returns", Store: "store", StoreText: "store-text",
	WriteBarrier: "write-barrier", DataBarrier: "data-barrier", CleanText: "clean-text", InterruptAll: "interrupt-all", AllAnswered: "all-answered",
	GraceBegins: "grace-period-begins", GraceEnds: "grace-period-ends", CallRCU: "call-rcu", Free: "free",
	CallbackRuns: "callback-runs",
	Execute:      "execute", CallBegins: "call-begins", CallReturns: "call-returns", GateReturns: "gate-returns",
	Schedule: "schedule", Preempted: "preempted", Interrupted: "interrupted",
}

// All returns every kind.
func All() []Kind {
	var all []Kind
	for k := None + 1; k < count; k++ {
		all = append(all, k)
	}
	return all
}

// String is the kind's name.
func (k Kind) String() string {
	if k >= count {
		return fmt.Sprintf("event(%d)", uint8(k))
	}
	return names[k]
}

// MarshalText is String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText takes a name; "" is None.
func (k *Kind) UnmarshalText(name []byte) error {
	for i, n := range names {
		if n == string(name) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("no event %q", name)
}

// Agent is what does a step.
type Agent int

// The agents. From FirstCPU on they are CPUs.
const (
	Patcher Agent = iota
	Callback
	FirstCPU
)

const (
	patcher  = "patcher"
	callback = "callback"
	cpu      = "cpu"
)

// CPU is the agent that CPU number n is.
func CPU(n int) Agent { return FirstCPU + Agent(n) }

// CPU returns the CPU's number; ok is false of another agent.
func (a Agent) CPU() (n int, ok bool) { return int(a - FirstCPU), a >= FirstCPU }

// String is patcher, callback, cpu0, ...
func (a Agent) String() string {
	switch n, ok := a.CPU(); {
	case ok:
		return cpu + strconv.Itoa(n)
	case a == Callback:
		return callback
	}
	return patcher
}

// MarshalText is String.
func (a Agent) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes what String gives.
func (a *Agent) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case patcher:
		*a = Patcher
	case callback:
		*a = Callback
	default:
		number, ok := strings.CutPrefix(s, cpu)
		n, err := strconv.ParseUint(number, 10, 8)
		if !ok || err != nil {
			return fmt.Errorf("no agent %q", text)
		}
		*a = CPU(int(n))
	}
	return nil
}
