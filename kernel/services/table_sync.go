package services

// syncRows are what waits for other CPUs and tasks, what they do, and what they see.
// Names that are missing: where the kernel is not preemptible, synchronize_rcu_tasks is synchronize_rcu.
var syncRows = []row{
	{"grace periods", []string{"synchronize_rcu", "synchronize_rcu_expedited"}, synchronize(RCU)},
	{"grace periods", []string{"synchronize_rcu_tasks"}, synchronize(RCUTasks)},
	{"grace periods", []string{"synchronize_rcu_tasks_rude"}, synchronize(RCUTasksRude)},
	{"grace periods", []string{"synchronize_rcu_tasks_trace"}, synchronize(RCUTasksTrace)},
	{"grace periods", []string{"synchronize_srcu", "synchronize_srcu_expedited"}, synchronize(SRCU)},
	{"grace periods", []string{"call_rcu", "call_rcu_hurry"}, call(RCU, 0)},
	{"grace periods", []string{"call_rcu_tasks"}, call(RCUTasks, 0)},
	{"grace periods", []string{"call_rcu_tasks_rude"}, call(RCUTasksRude, 0)},
	{"grace periods", []string{"call_rcu_tasks_trace"}, call(RCUTasksTrace, 0)},
	{"grace periods", []string{"call_srcu"}, call(SRCU, 1)},
	{"grace periods", []string{"kvfree_call_rcu", "kfree_call_rcu_nolock"}, kvfreeCall},
	{"grace periods", []string{"rcu_barrier", "kvfree_rcu_barrier"}, barrier(RCU)},
	{"grace periods", []string{"rcu_barrier_tasks"}, barrier(RCUTasks)},
	{"grace periods", []string{"rcu_barrier_tasks_rude"}, barrier(RCUTasksRude)},
	{"grace periods", []string{"rcu_barrier_tasks_trace"}, barrier(RCUTasksTrace)},
	{"grace periods", []string{"srcu_barrier"}, barrier(SRCU)},

	{"IPIs", []string{"smp_call_function_many_cond"}, serving(callMany)},
	{"IPIs", []string{"smp_call_function_single"}, serving(callSingle)},
	{"IPIs", []string{"smp_call_function_single_async"}, serving(callSingleAsync)},
	{"IPIs", []string{"schedule_on_each_cpu"}, serving(scheduleOnEach)},
	{"IPIs", []string{"stop_machine_cpuslocked"}, serving(stopMachine)},

	{"text", []string{"__aarch64_insn_write", "aarch64_insn_write"}, writeText(4)},
	{"text", []string{"aarch64_insn_write_literal_u64"}, writeText(8)},

	{"scheduler", []string{"schedule"}, serving(schedule)},
	{"scheduler", []string{"schedule_timeout"}, serving(scheduleTimeout)},
	{"scheduler", []string{"schedule_hrtimeout_range_clock"}, serving(scheduleHrtimeout)},
	{"scheduler", []string{"usleep_range_state"}, serving(usleepRange)},
	{"scheduler", []string{"try_to_wake_up"}, serving(wake)},
	{"scheduler", []string{"yield"}, serving(yield)},
	{"scheduler", []string{"__cond_resched"}, condResched},
	{"scheduler", []string{"preempt_schedule", "preempt_schedule_notrace"}, serving(resched)},

	{"locks", []string{"__mutex_lock_slowpath", "__mutex_lock_killable_slowpath", "__mutex_lock_interruptible_slowpath"}, mutexLock},
	{"locks", []string{"rwsem_down_read_slowpath"}, serving(readLock)},
	{"locks", []string{"rwsem_down_write_slowpath"}, writeLock},
	{"locks", []string{"queued_spin_lock_slowpath"}, serving(spinLock)},
	{"locks", []string{"queued_read_lock_slowpath"}, serving(readSpinLock)},
	{"locks", []string{"queued_write_lock_slowpath"}, serving(writeSpinLock)},

	{"work queues", []string{
		"queue_work_on", "queue_work_node", "queue_delayed_work_on", "mod_delayed_work_on", "queue_rcu_work", "flush_work", "flush_delayed_work",
		"__flush_workqueue", "alloc_workqueue", "alloc_workqueue_noprof",
	}, missing("work queues")},
	{"timers", []string{"mod_timer", "mod_timer_pending", "timer_reduce", "add_timer", "add_timer_on", "hrtimer_start_range_ns"}, missing("timers")},
	{"threads", []string{"kthread_create_on_node", "kthread_create_worker", "kernel_clone", "wake_up_new_task"}, missing("threads of a kernel's own")},
}
