package sched

// Kind is a flavour of grace period.
type Kind uint8

// The flavours that ftrace waits for.
const (
	RCU   Kind = iota // synchronize_rcu, call_rcu: stretches with preemption disabled
	Rude              // synchronize_rcu_tasks_rude: whatever each CPU runs until it has been through its scheduler
	Tasks             // synchronize_rcu_tasks, call_rcu_tasks: each task until it leaves its CPU voluntarily
)

var kindNames = [...]string{RCU: "synchronize_rcu", Rude: "synchronize_rcu_tasks_rude", Tasks: "synchronize_rcu_tasks"}

// String is the name of the kernel's function that waits.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "no grace period"
	}
	return kindNames[k]
}

// Reader is what the rules ask about one task and the CPU it is on.
type Reader struct {
	Running     bool // it has a CPU; a preempted task has not
	Kernel      bool // it is in the kernel: false in user mode, or once it has left voluntarily (sleeps), or is gone
	Idle        bool // it is the idle task of its CPU
	Preemptible bool // its preempt_count is 0
	Locked      bool // its rcu_read_lock_nesting is not 0 (CONFIG_PREEMPT_RCU)
}

// Holds reports whether a grace period of this kind that begins now has to wait
// for the reader.
func (k Kind) Holds(r Reader) bool {
	switch k {
	case RCU:
		// A stretch with preemption disabled can't be off its CPU, rcu_read_lock of a preemptible
		// kernel can (rcu_preempt_ctxt_queue, kernel/rcu/tree_plugin.h). The idle loop
		// has it disabled all the time, but RCU is not watching it
		// (ct_idle_enter, kernel/context_tracking.c).
		return r.Kernel && !r.Idle && (r.Running && !r.Preemptible || r.Locked)
	case Rude:
		// schedule_on_each_cpu asks no CPU what it runs.
		return r.Running
	case Tasks:
		// rcu_tasks_is_holdout: on a run queue, which a preempted task is too,
		// and no idle task.
		return r.Kernel && !r.Idle
	}
	return false
}

// Event is something a reader does.
type Event uint8

// What ends waits.
const (
	Preempted   Event = iota // its CPU was given to another task, involuntarily
	Switched                 // it left its CPU voluntarily (schedule)
	UserMode                 // it went to user mode, or ended
	Preemptible              // its preempt_count became 0
)

// Ends reports whether the event ends the grace period's wait for a reader that
// held it. r is the reader as it is after the event.
func (k Kind) Ends(e Event, r Reader) bool {
	switch k {
	case RCU:
		// No task leaves a CPU with preemption disabled, nor voluntarily after rcu_read_lock.
		return !r.Locked || e == Switched || e == UserMode
	case Rude:
		// Preemptible again, the CPU may still run what it ran.
		return e != Preemptible
	case Tasks:
		// rcu_tasks_qs has an argument for a preemption, and does
		// nothing where it was.
		return e == Switched || e == UserMode
	}
	return true
}
