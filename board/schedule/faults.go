package schedule

// shutdown are the functions that ftrace_shutdown is in, depending on what the compiler inlined.
var shutdown = []string{"ftrace_shutdown", "ftrace_shutdown.part.0", "unregister_ftrace_function"}

// Faults are the deliberate faults that a search has to find.
var Faults = []*Fault{
	{
		Name: "no-wait", What: "unregister_ftrace_function does not wait for CPUs that are about to call the ops", Workload: Register,
		plant: noCall(shutdown, "synchronize_rcu_tasks_rude", "synchronize_rcu_tasks", "synchronize_rcu"),
	},
}
