package tracedat

import (
	"fmt"
	"strings"

	"callops/trace"
)

// format is how events of a kind lie in the ring buffer, and what tracefs says of it in
// events/SYSTEM/NAME/format.
type format struct {
	kind   trace.Kind
	system string
	name   string
	id     uint16 // ftrace's own: enum trace_type (kernel/trace/trace.h)
	fields []field
	print  string
	rest   func(*trace.Event) []uint64 // elements of the last field, where that is a dynamic array
}

// field is a field after the common ones.
type field struct {
	ctype  string
	name   string
	size   int // 0: whatever is left of the event
	signed bool
	value  func(*encoder, *trace.Event) uint64
	text   func(*encoder, *trace.Event) string // of char[], and of what __data_loc refers to
}

const (
	systemFtrace = "ftrace"

	// What struct trace_entry has before the fields of each event.
	commonSize = 8
	common     = `	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;
`
	commSize    = 16  // TASK_COMM_LEN
	defaultPrio = 120 // DEFAULT_PRIO
)

// formats has a format for each kind (kernel/trace/trace_entries.h of 6.15,
// include/trace/events/). IDs of events that are not ftrace's own are given at boot, so any do.
var formats = []format{
	{
		kind: trace.KindFunction, system: systemFtrace, name: "function", id: 1,
		fields: []field{
			number("unsigned long", "ip", 8, func(e *trace.Event) uint64 { return e.IP }),
			number("unsigned long", "parent_ip", 8, func(e *trace.Event) uint64 { return e.ParentIP }),
			{ctype: "unsigned long", name: "args"},
		},
		rest:  arguments,
		print: `" %ps <-- %ps", (void *)REC->ip, (void *)REC->parent_ip`,
	},
	{
		kind: trace.KindGraphEntry, system: systemFtrace, name: "funcgraph_entry", id: 11,
		fields: []field{
			number("unsigned long", "func", 8, func(e *trace.Event) uint64 { return e.IP }),
			number("unsigned long", "depth", 8, func(e *trace.Event) uint64 { return uint64(e.Depth) }),
			{ctype: "unsigned long", name: "args"},
		},
		rest:  arguments,
		print: `"--> %ps (%lu)", (void *)REC->func, REC->depth`,
	},
	{
		kind: trace.KindGraphReturn, system: systemFtrace, name: "funcgraph_exit", id: 10,
		fields: []field{
			number("unsigned long", "func", 8, func(e *trace.Event) uint64 { return e.IP }),
			number("unsigned long", "retval", 8, func(e *trace.Event) uint64 { return e.Value }),
			number("int", "depth", 4, func(e *trace.Event) uint64 { return uint64(e.Depth) }),
			number("unsigned int", "overrun", 4, func(*trace.Event) uint64 { return 0 }),
			number("unsigned long long", "calltime", 8, func(e *trace.Event) uint64 { return e.Start }),
			number("unsigned long long", "rettime", 8, func(e *trace.Event) uint64 { return e.Time }),
		},
		print: `"<-- %ps (%d) (start: %llx  end: %llx) over: %d retval: %lx", (void *)REC->func, REC->depth, REC->calltime, REC->rettime, REC->depth, REC->retval`,
	},
	{
		kind: trace.KindPatch, system: "callops", name: "patch", id: 401,
		fields: []field{
			number("unsigned long", "ip", 8, func(e *trace.Event) uint64 { return e.IP }),
			number("unsigned long", "old", 8, func(e *trace.Event) uint64 { return e.Old }),
			number("unsigned long", "new", 8, func(e *trace.Event) uint64 { return e.Value }),
			number("unsigned int", "size", 4, func(e *trace.Event) uint64 { return uint64(e.Size) }),
			dataLoc("text", eventText),
		},
		print: `"%lx %s", REC->ip, __get_str(text)`,
	},
	{
		kind: trace.KindInsn, system: "callops", name: "insn", id: 402,
		fields: []field{
			number("unsigned long", "ip", 8, func(e *trace.Event) uint64 { return e.IP }),
			number("unsigned int", "word", 4, func(e *trace.Event) uint64 { return e.Value }),
			dataLoc("text", eventText),
		},
		print: `"%pS %08x %s", (void *)REC->ip, REC->word, __get_str(text)`,
	},
	{
		kind: trace.KindPrintk, system: "printk", name: "console", id: 301,
		fields: []field{dataLoc("msg", eventText)},
		print:  `"%s", __get_str(msg)`,
	},
	{
		kind: trace.KindSwitch, system: "sched", name: "sched_switch", id: 302,
		fields: []field{
			comm("prev_comm", func(e *trace.Event) uint32 { return e.PID }),
			number("pid_t", "prev_pid", 4, func(e *trace.Event) uint64 { return uint64(e.PID) }),
			number("int", "prev_prio", 4, func(*trace.Event) uint64 { return defaultPrio }),
			number("long", "prev_state", 8, func(e *trace.Event) uint64 { return uint64(e.Depth) }),
			comm("next_comm", func(e *trace.Event) uint32 { return e.Next }),
			number("pid_t", "next_pid", 4, func(e *trace.Event) uint64 { return uint64(e.Next) }),
			number("int", "next_prio", 4, func(*trace.Event) uint64 { return defaultPrio }),
		},
		print: `"prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%s ==> next_comm=%s next_pid=%d next_prio=%d", REC->prev_comm, REC->prev_pid, REC->prev_prio, ` +
			`REC->prev_state ? __print_flags(REC->prev_state, "|", { 0x1, "S" }, { 0x2, "D" }, { 0x20, "Z" }) : "R", ` +
			`REC->next_comm, REC->next_pid, REC->next_prio`,
	},
}

func number(ctype, name string, size int, value func(*trace.Event) uint64) field {
	return field{
		ctype: ctype, name: name, size: size, signed: !strings.HasPrefix(ctype, "unsigned"),
		value: func(_ *encoder, e *trace.Event) uint64 { return value(e) },
	}
}

func comm(name string, pid func(*trace.Event) uint32) field {
	return field{ctype: "char", name: name, size: commSize, text: func(enc *encoder, e *trace.Event) string { return enc.comm(pid(e)) }}
}

// dataLoc is a string after the fields: u16 offset and u16 length, with the NUL.
func dataLoc(name string, text func(*encoder, *trace.Event) string) field {
	return field{ctype: "__data_loc char[]", name: name, size: 4, text: text}
}

func (f *field) isDataLoc() bool { return strings.HasPrefix(f.ctype, "__data_loc") }

func eventText(_ *encoder, e *trace.Event) string { return e.Text }

func arguments(e *trace.Event) []uint64 {
	if e.Args == nil {
		return nil
	}
	return e.Args[:]
}

// String is the file events/SYSTEM/NAME/format (f_show in kernel/trace/trace_events.c).
func (f *format) String() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "name: %s\nID: %d\nformat:\n%s\n", f.name, f.id, common)
	at := commonSize
	for _, fd := range f.fields {
		dimension, signed := "", 0
		switch {
		case fd.size == 0:
			dimension = "[]"
		case fd.text != nil && !fd.isDataLoc():
			dimension = fmt.Sprintf("[%d]", fd.size)
		}
		if fd.signed {
			signed = 1
		}
		fmt.Fprintf(&sb, "\tfield:%s %s%s;\toffset:%d;\tsize:%d;\tsigned:%d;\n", fd.ctype, fd.name, dimension, at, fd.size, signed)
		at += fd.size
	}
	fmt.Fprintf(&sb, "\nprint fmt: %s\n", f.print)
	return sb.String()
}
