package sched

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHolds(t *testing.T) {
	var (
		running   = Reader{Running: true, Kernel: true, Preemptible: true}
		atomic    = Reader{Running: true, Kernel: true}
		preempted = Reader{Kernel: true, Preemptible: true}
		user      = Reader{Running: true, Preemptible: true}
		asleep    = Reader{Preemptible: true}
		idle      = Reader{Running: true, Kernel: true, Idle: true}
		idleOff   = Reader{Kernel: true, Idle: true}
		locked    = Reader{Running: true, Kernel: true, Preemptible: true, Locked: true}
		lockedOff = Reader{Kernel: true, Preemptible: true, Locked: true}
	)
	for _, c := range []struct {
		kind   Kind
		reader Reader
		want   bool
		why    string
	}{
		{RCU, running, false, "a preemptible task may be anywhere but in a reader"},
		{RCU, atomic, true, "preemption disabled is RCU's reader"},
		{RCU, preempted, false, "what could be preempted was in no reader"},
		{RCU, user, false, "user mode is no reader"},
		{RCU, asleep, false, "no task sleeps in a reader"},
		{RCU, locked, true, "it has called rcu_read_lock"},
		{RCU, lockedOff, true, "it was preempted after rcu_read_lock"},
		{RCU, idle, false, "RCU is not watching the idle loop"},

		{Rude, running, true, "its CPU has not been through its scheduler"},
		{Rude, atomic, true, "that is what rude is for"},
		{Rude, preempted, false, "it has no CPU: its CPU has been through its scheduler"},
		{Rude, user, true, "work runs on every CPU, whatever it is doing"},
		{Rude, asleep, false, "it has no CPU"},
		{Rude, idle, true, "the idle loop can be traced, and only this waits for it"},
		{Rude, idleOff, false, "its CPU runs something else"},

		{Tasks, running, true, "it may be in a trampoline"},
		{Tasks, atomic, true, "likewise"},
		{Tasks, preempted, true, "it may have been preempted in a trampoline"},
		{Tasks, user, false, "no trampoline goes on into user mode"},
		{Tasks, asleep, false, "no trampoline sleeps voluntarily"},
		{Tasks, idle, false, "idle tasks are quiescent by decree: rude waits for them"},
		{Tasks, idleOff, false, "likewise"},
	} {
		assert.Equal(t, c.want, c.kind.Holds(c.reader), "%s of %+v: %s", c.kind, c.reader, c.why)
	}
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		event Event
		want  bool
		why   string
	}{
		{RCU, Preempted, true, "it could be preempted, so it had left the reader"},
		{RCU, Switched, true, "no task sleeps in a reader"},
		{RCU, UserMode, true, "nor goes to user mode in one"},
		{RCU, Preemptible, true, "the reader's end"},

		{Rude, Preempted, true, "its CPU has been through its scheduler"},
		{Rude, Switched, true, "likewise"},
		{Rude, UserMode, true, "likewise"},
		{Rude, Preemptible, false, "the CPU still runs what it ran"},

		{Tasks, Preempted, false, "it goes on where it was, perhaps in a trampoline"},
		{Tasks, Switched, true, "no trampoline does that"},
		{Tasks, UserMode, true, "it is out of the kernel"},
		{Tasks, Preemptible, false, "trampolines are preemptible in part"},
	} {
		assert.Equal(t, c.want, c.kind.Ends(c.event, Reader{}), "%s, event %d: %s", c.kind, c.event, c.why)
	}
}

func TestEnds_RCUReadersThatWerePreempted(t *testing.T) {
	for event, want := range map[Event]bool{Preempted: false, Preemptible: false, Switched: true, UserMode: true} {
		assert.Equal(t, want, RCU.Ends(event, Reader{Kernel: true, Preemptible: true, Locked: true}), "event %d", event)
	}
}

func TestKind_IsNamedAsTheKernelsFunction(t *testing.T) {
	assert.Equal(t, "synchronize_rcu", RCU.String())
	assert.Equal(t, "synchronize_rcu_tasks_rude", Rude.String())
	assert.Equal(t, "synchronize_rcu_tasks", Tasks.String())
}
