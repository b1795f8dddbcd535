package services

import (
	"slices"

	"callops/emu"
)

// row is functions of the kernel that one Go function stands in for.
type row struct {
	what  string // also the gates' name, which begins their errors
	names []string
	// serve makes the Go function that replaces r; nil: r stays as it is.
	serve func(s *Services, r Replaced) emu.GateFunc
}

// table is what is replaced. Functions that only report are named from the outermost
// down, so that the error tells of the one that the caller called, and so that
// nothing before the lowest one runs into what is not booted. Names change: until
// 6.9 without _noprof, __kmalloc_cache was kmalloc_trace until 6.10.
var table = slices.Concat(kmallocRows, cacheRows, pageRows, vmallocRows, perCPURows, otherRows)

var perCPURows = []row{
	{"per-CPU allocator", []string{
		"__alloc_percpu", "__alloc_percpu_gfp", "__alloc_reserved_percpu",
		"pcpu_alloc", "pcpu_alloc_noprof",
	}, noAllocator},
}

// otherRows are all that is not memory.
var otherRows = []row{
	{"printk", []string{"vprintk_emit"}, printk},
	{"hardened usercopy", []string{"__check_object_size"}, nothing},

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

	{"text", []string{"__aarch64_insn_write", "aarch64_insn_write"}, writeText(4)},
	{"text", []string{"aarch64_insn_write_literal_u64"}, writeText(8)},
	{"text", []string{"caches_clean_inval_pou"}, serving(maintain)},
}

// nothing makes functions that do nothing. What hardened usercopy asks of a slab or of the linear
// map is not known of objects that lie in neither.
func nothing(*Services, Replaced) emu.GateFunc {
	return func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil }
}
