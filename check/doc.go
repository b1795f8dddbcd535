// Package check searches all interleavings of patching and execution.
//
// A [Scenario] is a machine with ftrace, tasks that call traced functions, and
// patchers: threads that register, unregister and free ops meanwhile. The
// patchers run the core itself, package ftrace; the tasks execute the trampolines
// themselves, by the interpreter. At every step the search chooses which patcher
// or CPU goes on, and what a CPU sees of what others wrote. It visits every state
// that can be reached, and checks the properties in each (package property). Where
// CPUs do not depend on one another, what one of each kind of task comes to decides for all.
//
// The core waits for CPUs, but no decision of it depends on them: its actions are
// the same in all interleavings, and only its progress differs. Where it
// waits for a grace period, the search holds it back until the tasks have done
// what the period waits for, by the rules of package sched.
//
// A [Mutation] is a deliberate fault in the core, the trampoline or the machine.
// That each is found shows that the properties are checked. A [Finding] is a rule
// that Linux itself breaks.
//
// This package has the scenarios, the mutations and the text of counterexamples;
// the states and moves are internal/model's. Start at [Check]. docs/checking.md lists what is
// claimed, and what is assumed.
package check
