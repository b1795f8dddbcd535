package model

import (
	"fmt"
	"strings"

	"callops/ftrace"
	"callops/trampolines"
)

// Scenario is a machine, what its tasks call, and what is done to ftrace
// meanwhile.
type Scenario struct {
	NoCallOps  bool // the scheme before CALL_OPS
	BTI        bool
	FixCallOps bool
	Direct     trampolines.Direct // the design of direct calls

	// Fixmap says that what orders stores before the literal's in a kernel is how it maps the page to
	// be patched, which the services that run its core leave out.
	Fixmap bool

	// Sets has shared sites name sets of their ops (ftrace.Sets), SetLimit of them
	// at most. NoSet is the one, from 1 on, that there is no memory for.
	Sets     bool
	SetLimit int
	NoSet    int

	// Ops are in the order in which they are registered, each once at most, but with AnyOrder.
	Ops      []Ops
	AnyOrder bool

	Threads [][]Operation // each is a patcher: operations one after another
	Tasks   []Task        // of CPU 0, 1, ...; the last one is that of the others too

	// Strict also asks for calls that begin right after an ops was registered,
	// on a CPU that has not synchronised since.
	Strict bool

	// Fix changes what the core does in one operation, as a mended Linux would.
	Fix func([]Step) []Step
}

// Functions that tasks call and ops want. On a kernel that is not the built-in
// one, two of its functions that do nothing stand for them.
const (
	Relevant   = "tracee_relevant"
	Irrelevant = "tracee_irrelevant"
)

// TailCaller tail-calls TailCallee, which returns. Only the built-in kernel has them, and only users of
// fgraph are to want them.
const (
	TailCaller = "is_even"
	TailCallee = "is_odd"
)

// scheme is the core's.
func (sc *Scenario) scheme() ftrace.Scheme {
	switch {
	case sc.NoCallOps:
		return ftrace.Global
	case sc.Sets:
		return ftrace.Sets
	}
	return ftrace.CallOps
}

// Ops is an ops of a scenario.
type Ops struct {
	Name       string
	Flags      ftrace.OpsFlag
	Filter     []string
	Registered bool       // from the beginning
	Static     bool       // lies in the kernel's data
	Tracer     *Operation // what its tracer starts

	// Graph makes it a user of fgraph, whose entryfunc stands for the tracer.
	Graph bool

	// Direct makes it an ops with a direct call: its sites call code that
	// stands for the tracer. There are two pieces of that, the second for an
	// operation that modifies the call. A Static one is the one ops that has all direct
	// calls, and Registered has it attached to its Filter.
	Direct bool
	Late   bool     // the second piece is not there before Place
	Far    bool     // the pieces are out of the sites' reach
	Moves  []string // the functions that come to the second piece at some time; nil: all
	Shares bool     // it shares its sites with IPMODIFY ops
}

// Task is what a CPU runs.
type Task struct {
	Calls       []string // functions
	Idle        bool     // it is the idle task: never preempted, and no task to RCU-tasks
	NotWatching bool     // RCU is not watching the CPU
}

// Operation is something done to ftrace.
type Operation struct {
	Name string
	do   func(m *Machine) error
}

// kind is the number of the task that a CPU runs.
func (sc *Scenario) kind(cpu int) int { return min(cpu, len(sc.Tasks)-1) }

// onOps is an operation on an ops, which do is given the number of.
func onOps(name, ops string, do func(m *Machine, i int) error) Operation {
	return Operation{name, func(m *Machine) error {
		for i := range m.sc.Ops {
			if m.sc.Ops[i].Name == ops {
				return do(m, i)
			}
		}
		return fmt.Errorf("the scenario has no ops %s", ops)
	}}
}

// Register registers an ops.
func Register(ops string) Operation { return onOps("register "+ops, ops, (*Machine).register) }

// Unregister unregisters it.
func Unregister(ops string) Operation {
	return onOps("unregister "+ops, ops, (*Machine).unregister)
}

// Free frees the ops, its hashes and its tracer's code.
func Free(ops string) Operation {
	return onOps("free "+ops, ops, func(m *Machine, i int) error {
		if m.sc.Ops[i].Graph {
			return m.freeGraph(i)
		}
		if err := m.r.FreeFilter(m.ops[i]); err != nil {
			return err
		}
		if err := m.r.FreeOps(m.ops[i]); err != nil {
			return err
		}
		m.rec.free("tracer_"+ops, m.tracer[i][0])
		return nil
	})
}

// FreeDirect frees an ops with direct calls and its hashes.
func FreeDirect(ops string) Operation {
	return onOps("free "+ops, ops, func(m *Machine, i int) error {
		if err := m.r.FreeFilter(m.ops[i]); err != nil {
			return err
		}
		return m.r.FreeOps(m.ops[i])
	})
}

// Filter replaces the filter of an ops by one of these functions.
func Filter(ops string, functions ...string) Operation {
	return onOps(fmt.Sprintf("filter of %s := %s", ops, strings.Join(functions, ",")), ops, func(m *Machine, i int) error {
		return m.setFilter(i, functions, true)
	})
}

// Enable sets kernel.ftrace_enabled.
func Enable(v int) Operation {
	return Operation{fmt.Sprintf("ftrace_enabled := %d", v), func(m *Machine) error { return m.setEnabled(v) }}
}

// Modify makes the sites of an ops with a direct call call the second piece of
// code.
func Modify(ops string) Operation {
	return onOps("modify the direct call of "+ops, ops, func(m *Machine, i int) error {
		return m.r.ModifyDirect(m.ops[i], m.tracer[i][1].Start)
	})
}

// Attach has functions call the first piece of code of the one ops that has all direct calls.
func Attach(ops string, functions ...string) Operation {
	return onOps("attach "+ops+" to "+strings.Join(functions, ","), ops, func(m *Machine, i int) error { return m.attach(i, functions) })
}

// Detach takes functions away from it, each with the piece of code that it calls.
func Detach(ops string, functions ...string) Operation {
	return onOps("detach "+ops+" from "+strings.Join(functions, ","), ops, func(m *Machine, i int) error { return m.detach(i, functions) })
}

// Move has functions call the second piece of code.
func Move(ops string, functions ...string) Operation {
	return onOps(fmt.Sprintf("modify the direct call of %s at %s", ops, strings.Join(functions, ",")), ops, func(m *Machine, i int) error {
		return m.move(i, functions)
	})
}

// Place writes the second piece of code of a direct call, and has every CPU see it
// (flush_icache_range).
func Place(ops string) Operation {
	return onOps("write the second direct call of "+ops, ops, (*Machine).writeDirect)
}

// Retire frees the first piece of code, when no task can be in it any more: that
// is for the user of a direct call to wait for.
func Retire(ops string) Operation {
	return onOps("free the first direct call of "+ops, ops, func(m *Machine, i int) error {
		if err := m.rec.SynchronizeRCUTasks(); err != nil {
			return err
		}
		m.rec.free("direct_"+ops, m.tracer[i][0])
		return nil
	})
}
