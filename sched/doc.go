// Package sched runs tasks on the CPUs of a booted kernel, preempts them between
// any two instructions, and waits for them as RCU does.
//
// A [Task] has a task_struct, a kernel stack and registers of its own and a body
// in Go, which calls guest functions with [Task.Call]. [Scheduler] gives CPUs to
// tasks in turn; one goroutine per CPU drives it, and what a task does, Go
// or guest code, runs there. Its methods are ftrace's grace periods.
// [Kind.Holds] and [Kind.Ends] alone decide which tasks they wait for; both are pure,
// so a model checker can use the same rules.
//
// It follows Linux 6.12 with CONFIG_PREEMPT: kernel/sched/core.c (a switch is a
// preemption or voluntary; preempt_count and masked interrupts forbid the first
// and make the second an error), kernel/rcu/tasks.h (rcu_tasks_is_holdout,
// rcu_tasks_qs, schedule_on_each_cpu) and kernel/rcu/tree.c as far as readers are
// stretches with preemption disabled. The task that Boot made for a CPU is its
// idle task.
//
// Differs:
//   - There is no need_resched. A CPU that can't be preempted at the end of a slice is
//     tried again after a few instructions; preempt_schedule is never called,
//     which in a distribution's kernel would lead into its own scheduler.
//   - A voluntary switch leaves the task runnable, as cond_resched does. A task
//     that waits for something is in [Task.Sleep] or [Task.User]. Time passes only while all
//     tasks sleep.
//   - A running task counts as an RCU reader until its own CPU has seen that it is
//     none. A grace period may so last longer, never shorter.
//   - User mode takes no CPU.
//   - synchronize_rcu_tasks has no RCU grace periods before and after it: here all tasks are
//     checked at one moment.
//
// An interrupt ([Scheduler.Interrupt]) is Go code between two instructions of a CPU, which may
// call guest functions there.
//
// Left out: priorities, affinity,
// RCU readers (rcu_read_lock of CONFIG_PREEMPT_RCU), SRCU, priorities of RCU
// callbacks, PSTATE bits other than flags and interrupt masks. CNTVCT_EL0
// counts a CPU's instructions, so it may go back for a task that moves.
//
// CPUs run in parallel; atomics are atomic between them on package interp only. Between New and
// Close they belong to the Scheduler, and the kernel's Call must not be used;
// nor may modules be loaded or gates added while tasks run that could see them.
//
// Any goroutine may use a Scheduler, and wait for grace periods unless it is a
// task's: a task that waits for itself gets EDEADLK at once, one that is
// waited for through a lock that it needs, after Options.Stall. Callbacks are
// called by the next call of [Scheduler.CallRCU] and the like, so these belong to
// one owner (an ftrace.Registry calls them under its lock).
//
// Start at [New], [Scheduler.Spawn] and [Task.Call].
package sched
