package schedule

import (
	"fmt"
	"strings"

	"callops/board"
	"callops/internal/errno"
)

// Functions that ftrace's own are in, depending on what the compiler inlined.
var (
	shutdown = []string{"ftrace_shutdown", "ftrace_shutdown.part.0", "unregister_ftrace_function"}
	hashMove = []string{"__ftrace_hash_move_and_update_ops", "ftrace_hash_move_and_update_ops"}
	locked   = []string{"register_ftrace_function", "register_ftrace_function_nolock", "unregister_ftrace_function"}
	setHash  = []string{"ftrace_set_hash", "ftrace_set_hash.isra.0", "ftrace_set_hash.constprop.0", "ftrace_set_addr", "ftrace_set_filter_ip"}
	replace  = []string{"__ftrace_replace_code", "ftrace_replace_code", "ftrace_modify_all_code"}
	setCall  = []string{"ftrace_make_call", "ftrace_modify_call", "ftrace_rec_update_ops"}

	waits = []string{"synchronize_rcu_tasks_rude", "synchronize_rcu_tasks", "synchronize_rcu"}
)

// Instructions that take the place of a BL.
const (
	nop     = 0xd503201f
	blrX1   = 0xd63f0020
	zeroX0  = 0xd2800000 // MOV X0, #0
	ret     = 0xd65f03c0
	linkBit = 1 << 31 // of BL, not of B
)

// Faults are the deliberate faults that a search has to find.
var Faults = []*Fault{
	{
		Name: "no-wait", Workload: "register", plant: noCall(shutdown, waits...),
		What: "unregister_ftrace_function does not wait for those that are about to call the ops",
	},
	{
		Name: "no-wait-third", Workload: "third-ops", plant: noCall(shutdown, waits...),
		What: "the same, where the list function is about to call it",
	},
	{
		Name: "no-wait-direct", Workload: "direct", plant: noCall(shutdown, waits...),
		What: "unregister_ftrace_direct does not wait for those that are about to make the direct call",
	},
	{
		Name: "no-lock", Workload: "two-ops", plant: noCall(locked, "mutex_lock", "mutex_unlock"),
		What: "ops are registered and unregistered without ftrace_lock",
	},
	{
		Name: "no-literal", Workload: "two-ops", plant: instead(setCall, zeroX0, "aarch64_insn_write_literal_u64"),
		What: "the literal of a site is not written when its ops changes",
	},
	{
		Name: "list-order", Workload: "third-ops", plant: swapStores("__register_ftrace_function"),
		What: "an ops is linked into ftrace_ops_list before its next points to the others",
	},
	{
		Name: "hash-at-once", Workload: "filter", plant: instead(hashMove, blrX1, "call_rcu"),
		What: "a replaced filter hash is freed without a grace period",
	},
	{
		Name: "not-unlinked", Workload: "third-ops", plant: instead(shutdown, zeroX0, "__unregister_ftrace_function"),
		What: "unregister_ftrace_function leaves the ops in ftrace_ops_list",
	},
	{
		Name: "no-filter-lock", Workload: "two-filters", plant: noCall(setHash, "mutex_lock", "mutex_unlock"),
		What: "a filter is copied, changed and replaced without regex_lock and ftrace_lock",
	},
	{
		Name: "still-counted", Workload: "register", plant: instead(shutdown, zeroX0, "ftrace_hash_rec_disable", "__ftrace_hash_rec_update"),
		What: "the records of an ops that is unregistered keep its count",
	},
	{
		Name: "site-left", Workload: "register", plant: instead(replace, zeroX0, "ftrace_make_nop"),
		What: "a site whose last ops is unregistered still calls, with that ops' address as its literal",
	},
}

// FaultByName returns a fault; ENOENT, and the names that there are, where there is none of the name.
func FaultByName(name string) (*Fault, error) { return byName("fault", Faults, name, (*Fault).name) }

// WorkloadByName returns a workload; ENOENT, and the names that there are, where there is none of the name.
func WorkloadByName(name string) (*Workload, error) {
	return byName("workload", Workloads, name, func(w *Workload) string { return w.Name })
}

func byName[T any](what string, list []*T, name string, nameOf func(*T) string) (*T, error) {
	var names []string
	for _, t := range list {
		if nameOf(t) == name {
			return t, nil
		}
		names = append(names, nameOf(t))
	}
	return nil, fmt.Errorf("no %s %q, there are %s: %w", what, name, strings.Join(names, ", "), errno.ENOENT)
}

// swapStores has a function do the second of two store-releases before the first: STLR, ADD, STLR becomes ADD, STLR, STLR.
func swapStores(name string) func(*board.Machine) error {
	const stlr, stlrMask = 0xc89ffc00, 0xfffffc00
	return func(m *board.Machine) error {
		t, err := function(m, name)
		if err != nil {
			return err
		}
		for i := range len(t.words) - 2 {
			if t.words[i]&stlrMask != stlr || t.words[i+2]&stlrMask != stlr || t.words[i+1]>>24 != 0x91 {
				continue
			}
			for k, w := range []uint32{t.words[i+1], t.words[i+2], t.words[i]} {
				if err := t.put(i+k, w); err != nil {
					return err
				}
			}
			return nil
		}
		return fmt.Errorf("no two store-releases in %s: %w", name, errno.ENOENT)
	}
}
