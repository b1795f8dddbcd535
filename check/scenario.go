package check

import (
	"fmt"
	"strings"

	"callops/ftrace"
)

// Scenario is a machine, what its tasks call, and what is done to ftrace
// meanwhile.
type Scenario struct {
	Name  string
	About string // one line

	NoCallOps  bool // the scheme before CALL_OPS
	BTI        bool
	FixCallOps bool

	Ops     []Ops
	Threads [][]Operation // each is a patcher: operations one after another
	Tasks   []Task        // of CPU 0, 1, ...; the last one is that of the others too

	// Strict also asks for calls that begin right after an ops was registered,
	// on a CPU that has not synchronised since.
	Strict bool

	// fix changes what the core does in one operation, as a mended Linux would.
	fix func([]step) []step

	// Finding names the property that Linux breaks here, and "" where all hold.
	Finding string
}

// Ops is an ops of a scenario.
type Ops struct {
	Name       string
	Flags      ftrace.OpsFlag
	Filter     []string
	Registered bool       // from the beginning
	Static     bool       // lies in the kernel's data
	Tracer     *Operation // what its tracer starts

	// Direct makes it an ops with a direct call: its sites call code that
	// stands for the tracer. There are two pieces of that, the second for an
	// operation that modifies the call.
	Direct bool
}

// Task is what a CPU runs.
type Task struct {
	Calls       []string // functions
	Idle        bool     // it is the idle task: never preempted, and no task to RCU-tasks
	NotWatching bool     // RCU does not watch the CPU
}

// Operation is something done to ftrace.
type Operation struct {
	Name string
	do   func(m *machine) error
}

// kind is the number of the task that a CPU runs.
func (sc *Scenario) kind(cpu int) int { return min(cpu, len(sc.Tasks)-1) }

func (sc *Scenario) number(ops string) int {
	for i := range sc.Ops {
		if sc.Ops[i].Name == ops {
			return i
		}
	}
	panic("scenario " + sc.Name + " has no ops " + ops) // of our own table
}

// The operations that scenarios are made of.

func register(ops string) Operation {
	return Operation{"register " + ops, func(m *machine) error { return m.register(m.sc.number(ops)) }}
}

func unregister(ops string) Operation {
	return Operation{"unregister " + ops, func(m *machine) error { return m.unregister(m.sc.number(ops)) }}
}

// free gives back the ops, its hashes and its tracer's code.
func free(ops string) Operation {
	return Operation{"free " + ops, func(m *machine) error {
		i := m.sc.number(ops)
		if err := m.r.FreeFilter(m.ops[i]); err != nil {
			return err
		}
		if err := m.r.FreeOps(m.ops[i]); err != nil {
			return err
		}
		m.rec.free("tracer_"+ops, m.tracer[i][0])
		return nil
	}}
}

// filter replaces the filter of an ops by one of these functions.
func filter(ops string, functions ...string) Operation {
	return Operation{fmt.Sprintf("filter of %s := %s", ops, strings.Join(functions, ",")), func(m *machine) error {
		return m.setFilter(m.sc.number(ops), functions, true)
	}}
}

func enabled(v int) Operation {
	return Operation{fmt.Sprintf("ftrace_enabled := %d", v), func(m *machine) error { return m.r.SetEnabled(v) }}
}

// modify makes the sites of an ops with a direct call call the second piece of
// code.
func modify(ops string) Operation {
	return Operation{"modify the direct call of " + ops, func(m *machine) error {
		i := m.sc.number(ops)
		return m.r.ModifyDirect(m.ops[i], m.tracer[i][1].Start)
	}}
}

// retire frees the first piece of code, when no task can be in it any more: that
// is for the user of a direct call to wait for.
func retire(ops string) Operation {
	return Operation{"free the first direct call of " + ops, func(m *machine) error {
		if err := m.rec.SynchronizeRCUTasks(); err != nil {
			return err
		}
		m.rec.free("direct_"+ops, m.tracer[m.sc.number(ops)][0])
		return nil
	}}
}
