package fileops

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
)

// folders are what is made and removed: instances, and what is no place for one.
var folders = []string{
	"instances/a", "instances/b", "instances/c", "instances/a", "instances/b",
	"instances/with space", "instances/" + strings.Repeat("x", 300), "instances/a/instances", "events/mine", "mine", "instances", "options",
}

// controls are the files that most operations are about.
var controls = []string{
	"current_tracer", "set_ftrace_filter", "set_ftrace_notrace", "set_ftrace_pid", "set_ftrace_notrace_pid", "set_graph_function", "set_graph_notrace",
	"max_graph_depth", "trace", "trace_pipe", "trace_marker", "trace_marker_raw", "trace_options", "trace_clock", "tracing_on", "tracing_cpumask",
	"tracing_thresh", "tracing_max_latency", "snapshot", "buffer_size_kb", "buffer_subbuf_size_kb", "buffer_percent", "buffer_total_size_kb",
	"saved_cmdlines", "saved_cmdlines_size", "saved_tgids", "set_event", "set_event_pid", "set_event_notrace_pid", "kprobe_events", "kprobe_profile",
	"uprobe_events", "synthetic_events", "dynamic_events", "error_log", "free_buffer", "stack_max_size", "stack_trace", "stack_trace_filter",
	"enabled_functions", "touched_functions", "available_tracers", "available_events", "dyn_ftrace_total_info", "printk_formats", "timestamp_mode",
	"events/enable", "events/sched/enable", "events/sched/filter", "events/sched/sched_switch/enable", "events/sched/sched_switch/filter",
	"events/sched/sched_switch/trigger", "events/sched/sched_switch/hist", "events/sched/sched_waking/trigger", "events/kmem/kmalloc/trigger",
	"events/kmem/kmalloc/filter", "events/kmem/kfree/enable", "events/raw_syscalls/sys_enter/trigger", "events/raw_syscalls/sys_enter/filter",
	"events/ftrace/function/filter", "events/ftrace/print/trigger", "events/kprobes/enable", "events/kprobes/k1/enable", "events/kprobes/k1/filter",
	"events/kprobes/k1/trigger", "events/synthetic/s1/trigger", "events/synthetic/s1/enable",
	"options/function-trace", "options/func_stack_trace", "options/stacktrace", "options/sym-offset", "options/overwrite", "options/record-tgid",
	"options/pause-on-trace", "options/event-fork", "options/function-fork", "options/trace_printk_dest", "options/test_nop_refuse",
	"per_cpu/cpu0/trace", "per_cpu/cpu0/trace_pipe", "per_cpu/cpu0/trace_pipe_raw", "per_cpu/cpu0/snapshot", "per_cpu/cpu0/snapshot_raw",
	"per_cpu/cpu0/stats", "per_cpu/cpu0/buffer_size_kb",
	"no_such_file", "events/sched/no_such_event/enable",
}

// file names a file: one of the controls, in an instance now and then, or any that a walk from the root comes to.
func (c *Client) file() string {
	if c.rand.IntN(4) > 0 {
		name := pick(c.rand, controls)
		if c.rand.IntN(5) == 0 {
			name = path.Join(pick(c.rand, folders[:3]), name)
		}
		return name
	}
	name := "."
	for range 5 {
		names, err := c.list(name, false)
		if err != nil || len(names) == 0 {
			break
		}
		name = path.Join(name, pick(c.rand, names))
	}
	return name
}

// textFor is what is written to a file: mostly of the kind that it takes.
func textFor(r *rand.Rand, name string) string {
	base := path.Base(name)
	kind, ok := kinds[base]
	switch {
	case r.IntN(10) == 0:
		return anything(r)
	case ok:
		return kind(r)
	case strings.HasPrefix(name, "options/") || base == "enable":
		return pick(r, []string{"0\n", "1\n", "0\n", "1", "2\n"})
	}
	return anything(r)
}

// kinds are the texts that control files take, and some that they refuse.
var kinds = map[string]func(r *rand.Rand) string{
	"current_tracer":         words("nop", "nop", "nop", "function", "function_graph", "blk", "wakeup", "no_such_tracer"),
	"set_ftrace_filter":      filter,
	"set_ftrace_notrace":     filter,
	"set_graph_function":     filter,
	"set_graph_notrace":      filter,
	"stack_trace_filter":     filter,
	"set_ftrace_pid":         numbers,
	"set_ftrace_notrace_pid": numbers,
	"set_event_pid":          numbers,
	"set_event_notrace_pid":  numbers,
	"max_graph_depth":        numbers,
	"tracing_thresh":         numbers,
	"tracing_max_latency":    numbers,
	"tracing_on":             words("0", "1", "1", "2", "x"),
	"tracing_cpumask":        words("1", "0", "ff", "1,00000000", "g", "3-"),
	"snapshot":               words("0", "1", "1", "2", "3"),
	"buffer_size_kb":         words("1", "4", "64", "100", "1000", "0", "-1", "99999999999"),
	"buffer_subbuf_size_kb":  words("4", "8", "64", "0", "129", "1000000"),
	"buffer_percent":         words("0", "50", "100", "101"),
	"saved_cmdlines_size":    words("1", "128", "1000", "0", "4294967296"),
	"trace_clock":            words("local", "global", "counter", "uptime", "perf", "mono", "mono_raw", "boot", "tai", "no_such_clock"),
	"trace_marker":           words("a mark", "%s%n%p", strings.Repeat("long ", 2000)),
	"trace_marker_raw":       words("\x01\x00\x00\x00data", "\x01", strings.Repeat("\xff", 5000)),
	"trace_options":          words("sym-offset", "nosym-offset", "raw", "noraw", "hex", "nohex", "bin", "nobin", "stacktrace", "nostacktrace", "func_stack_trace", "latency-format", "nolatency-format", "nooverwrite", "overwrite", "no_such_option", "nofunction-trace", "function-trace"),
	"set_event":              words("sched:sched_switch", "!sched:sched_switch", "sched:*", "!sched:*", "*:*", "!*:*", "kfree", "no:such", ":", "!", "kmem:kmalloc"),
	"kprobe_events":          kprobe,
	"dynamic_events":         kprobe,
	"uprobe_events":          words("p:u1 /init:0x10", "p:u1 /tmp:0", "-:u1", "p:u1 no_such_file:0", "r:u2 /init:4", "p"),
	"synthetic_events":       words("s1 u64 a", "s1 u64 a; char b[]; int c", "!s1", "!s1 u64 a", "s2 long[] stack", "s1 struct x", "s1 u64 a b c d e", "9"),
	"filter":                 eventFilter,
	"trigger":                trigger,
}

// words is one of a list, on a line.
func words(list ...string) func(r *rand.Rand) string {
	return func(r *rand.Rand) string { return pick(r, list) + "\n" }
}

func numbers(r *rand.Rand) string {
	return pick(r, []string{"0\n", "1\n", "1 2 3\n", "-1\n", "2147483648\n", "99999999999999999999\n", "x\n", "", "5"})
}

// functions are in every kernel, but for some.
var functions = []string{
	"vfs_read", "vfs_write", "vfs_open", "do_sys_openat2", "kfree", "msleep", "schedule", "ksys_read", "tracing_open", "no_such_function", "",
}

// filter names functions by number mostly: by name or pattern the kernel compares all of its 40,000. There is no dump and no cpudump:
// those print all of a buffer on the console, which takes billions of instructions.
func filter(r *rand.Rand) string {
	command := ""
	if r.IntN(5) == 0 {
		command = pick(r, []string{
			":traceoff", ":traceon:3", ":stacktrace:1", ":snapshot:1", ":enable_event:sched:sched_switch", ":disable_event:sched:sched_switch:2", ":mod:none", ":no_such_command", ":traceoff:x",
		})
	}
	not := pick(r, []string{"", "", "", "!"})
	if command == "" && r.IntN(12) > 0 {
		return fmt.Sprintf("%s%d\n", not, pick(r, []int{0, 1, 1000 + r.IntN(39000), 1000 + r.IntN(39000), 1 << 30}))
	}
	if r.IntN(4) == 0 {
		return not + pick(r, []string{"*", "vfs_*", "*lock*", "*_read", "s?h*", "[a-c]*", "**", "*:mod:*"}) + command + "\n"
	}
	return not + pick(r, functions) + command + "\n"
}

func kprobe(r *rand.Rand) string {
	event := pick(r, []string{"k1", "k2", "kprobes/k1", "mine/k3", ""})
	if r.IntN(3) == 0 {
		return "-:" + event + "\n"
	}
	kind := pick(r, []string{"p", "p", "r", "r3", "f", "t", "e"})
	at := pick(r, functions) + pick(r, []string{"", "", "", "+4", "+0x10", "+3", "+0x100000", "%return"})
	args := pick(r, []string{
		"", " $retval", " a=%x0 b=%x1:u32", " $arg1 $arg2", " +0(%x0):string", " @jiffies", " $stack0 $comm", " a=%x99", " +u0(%x1):ustring", " x=\\1:s64", " a=+8(+0(%x0)):x8[4]", " :", " a=$nothing",
	})
	return fmt.Sprintf("%s:%s %s%s\n", kind, event, at, args)
}

func eventFilter(r *rand.Rand) string {
	if r.IntN(3) == 0 {
		return "0\n"
	}
	field := pick(r, []string{"common_pid", "prev_pid", "next_comm", "prev_comm", "bytes_req", "id", "ip", "CPU", "comm", "no_such_field", "common_type"})
	op := pick(r, []string{"==", "!=", ">", "<=", "&", "~", "=~", "<>"})
	value := pick(r, []string{"0", "1", "-1", "\"init\"", "\"*a*\"", "0xffffffffffffffff", "99999999999999999999", "", "x"})
	f := field + " " + op + " " + value
	switch r.IntN(6) {
	case 0:
		f += " && !(common_cpu == 0 || " + f + ")"
	case 1:
		f = strings.Repeat("(", r.IntN(40)) + f + strings.Repeat(")", r.IntN(40))
	case 2:
		f = strings.Repeat(f+" || ", r.IntN(60)) + f
	}
	return f + "\n"
}

// trigger has a count wherever it takes snapshots: each wakes a worker by CONFIG_TRACER_MAX_TRACE's fsnotify, so that one
// at each switch of tasks feeds itself and leaves others little of the CPU, in any kernel.
func trigger(r *rand.Rand) string {
	t := pick(r, []string{
		"traceoff", "traceon", "stacktrace", "snapshot:2", "traceoff:3", "stacktrace:1", "snapshot:1", "enable_event:kmem:kfree", "disable_event:kmem:kfree:2",
		"hist:keys=common_pid", "hist:keys=common_pid:vals=hitcount:sort=hitcount.descending:size=256", "hist:keys=next_pid:ts0=common_timestamp.usecs",
		"hist:keys=prev_pid:lat=common_timestamp.usecs-$ts0:onmatch(sched.sched_waking).trace(s1,$lat)", "hist:keys=id.syscall,common_pid.execname", "hist:keys=call_site.sym:vals=bytes_req",
		"hist:keys=common_stacktrace", "hist:keys=common_pid:pause", "hist:keys=common_pid:continue", "hist:keys=common_pid:clear", "hist:name=h:keys=common_pid", "hist:keys=common_pid:size=3",
		"hist:keys=no_such_field", "hist:", "hist:keys=", "enable_hist:sched:sched_switch", "no_such_trigger", "traceoff:-1", "hist:keys=prev_pid:onmax($x).save(prev_comm)",
	})
	if r.IntN(3) == 0 {
		t = "!" + t
	}
	if r.IntN(4) == 0 {
		t += " if " + strings.TrimSuffix(eventFilter(r), "\n")
	}
	return t + "\n"
}

// anything is a text that no file asks for.
func anything(r *rand.Rand) string {
	switch r.IntN(6) {
	case 0:
		return ""
	case 1:
		return pick(r, []string{"0\n", "1\n", "-1\n", "\n", "#\n", "!\n", "*\n", "%s%s%s\n", "\x00", "a\x00b\n"})
	case 2:
		return strings.Repeat(pick(r, []string{"a", "a ", "(", "\n", "\xff", "1,"}), r.IntN(9000))
	case 3:
		return "\\xff\"'`$(reboot)\n"
	}
	b := make([]byte, r.IntN(200))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}
