package tracedat

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trace"
	"callops/trace/ringbuffer"
)

// Options describe what was traced.
type Options struct {
	// Version of the file: 6, which every trace-cmd reads, or 7, which is compressed and takes
	// trace-cmd 3.0. 7 when 0.
	Version int
	// Symbols are the kernel's, as /proc/kallsyms has them.
	Symbols []kernelimage.Symbol
	// System says what was traced, as uname does.
	System string
}

const (
	version6 = 6
	version7 = 7
)

// clock is "counter" among Linux's (trace_clocks in kernel/trace/trace.c): its values are no
// times, and readers print them as they are.
const (
	clock      = "counter"
	traceClock = "local global [" + clock + "] uptime perf mono mono_raw boot tai\n"
)

// Write writes a recording. What is not one, or is too long for the file, is EINVAL, and
// then nothing has been written; opts may be nil.
func Write(w io.Writer, r *trace.Recording, opts *Options) error {
	if opts == nil {
		opts = &Options{}
	}
	var write func(io.Writer, *metadata, [][]byte) error
	switch opts.Version {
	case version6:
		write = write6
	case 0, version7:
		write = write7
	default:
		return fmt.Errorf("trace.dat version %d: %w", opts.Version, errno.EINVAL)
	}
	m, err := newMetadata(r, opts)
	if err != nil {
		return fmt.Errorf("trace.dat: %w", err)
	}
	pages, err := encode(r)
	if err != nil {
		return fmt.Errorf("trace.dat: %w", err)
	}
	return write(w, m, pages)
}

// metadata is what both versions hold beside the pages, in the form in which both do.
type metadata struct {
	header, ftrace, events, symbols, printk, tasks []byte

	options []option
}

// option is an option of the file. IDs are enum values of trace-cmd-private.h.
type option struct {
	id   uint16
	data []byte
}

const (
	optionDone       = 0
	optionCPUStat    = 2
	optionBuffer     = 3
	optionTraceClock = 4
	optionUname      = 5
	optionCPUCount   = 8
	optionVersion    = 9
)

func newMetadata(r *trace.Recording, opts *Options) (*metadata, error) {
	if r == nil || r.CPUs <= 0 {
		return nil, fmt.Errorf("no recording, or one of no CPU: %w", errno.EINVAL)
	}
	m := &metadata{header: headerInfo(), ftrace: ftraceFormats(), events: eventFormats(), tasks: commands(r)}
	symbols := kallsyms(opts.Symbols)
	if len(symbols) > math.MaxInt32 {
		return nil, fmt.Errorf("kernel symbols of %d bytes: %w", len(symbols), errno.EINVAL)
	}
	m.symbols = sized32(symbols)
	m.printk = sized32(nil)
	m.options = []option{
		{optionTraceClock, cstring(traceClock)},
		{optionUname, cstring(oneLine(opts.System))},
		{optionVersion, cstring("callops")},
	}
	counts := make([]uint64, r.CPUs) // per_cpu/cpuN/stats: all has been read
	for i := range r.Events {
		if cpu := r.Events[i].CPU; uint64(cpu) < uint64(r.CPUs) { // encode tells of those that are not
			counts[cpu]++
		}
	}
	for cpu, n := range counts {
		lost := uint64(0)
		if cpu < len(r.Lost) {
			lost = r.Lost[cpu]
		}
		m.options = append(m.options, option{optionCPUStat, cstring(fmt.Sprintf("CPU: %d\nentries: 0\noverrun: %d\ncommit overrun: 0\ndropped events: 0\nread events: %d\n", cpu, lost, n))})
	}
	return m, nil
}

// headerInfo is events/header_page and events/header_event (kernel/trace/ring_buffer.c).
func headerInfo() []byte {
	page := "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n" +
		"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n" +
		"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n" +
		fmt.Sprintf("\tfield: char data;\toffset:%d;\tsize:%d;\tsigned:0;\n", ringbuffer.HeaderSize, ringbuffer.Capacity)
	event := "# compressed entry header\n" +
		"\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n" +
		"\tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n\tdata max type_len  == 28\n"
	b := append(cstring("header_page"), sized64(page)...)
	return append(append(b, cstring("header_event")...), sized64(event)...)
}

func ftraceFormats() []byte {
	var list []byte
	n := uint32(0)
	for i := range formats {
		if formats[i].system == systemFtrace {
			list = append(list, sized64(formats[i].String())...)
			n++
		}
	}
	return append(u32(n), list...)
}

func eventFormats() []byte {
	bySystem := make(map[string][]string)
	for i := range formats {
		if f := &formats[i]; f.system != systemFtrace {
			bySystem[f.system] = append(bySystem[f.system], f.String())
		}
	}
	b := u32(uint32(len(bySystem)))
	for _, system := range slices.Sorted(maps.Keys(bySystem)) {
		b = append(append(b, cstring(system)...), u32(uint32(len(bySystem[system])))...)
		for _, f := range bySystem[system] {
			b = append(b, sized64(f)...)
		}
	}
	return b
}

// kallsyms is /proc/kallsyms.
func kallsyms(symbols []kernelimage.Symbol) []byte {
	var b []byte
	for _, s := range symbols {
		if s.Name == "" || strings.ContainsAny(s.Name, " \t\n\x00") {
			continue // trace-cmd would stop there
		}
		kind := s.Type
		switch {
		case kind > ' ' && kind < 0x7f:
		case s.Func:
			kind = 'T'
		default:
			kind = 'D'
		}
		b = fmt.Appendf(b, "%016x %c %s", s.Addr, kind, s.Name)
		if s.Module != "" {
			b = fmt.Appendf(b, "\t[%s]", s.Module)
		}
		b = append(b, '\n')
	}
	return b
}

// commands is saved_cmdlines.
func commands(r *trace.Recording) []byte {
	var b strings.Builder
	for _, pid := range slices.Sorted(maps.Keys(r.Tasks)) {
		if name := oneLine(r.Tasks[pid]); name != "" && pid != 0 {
			fmt.Fprintf(&b, "%d %s\n", pid, name)
		}
	}
	return sized64(b.String())
}

// preamble is how a file of any version begins.
func preamble(version int) []byte {
	b := append([]byte("\x17\x08\x44tracing"), cstring(fmt.Sprint(version))...)
	b = append(b, 0, 8) // little-endian, 8 bytes a long
	return append(b, u32(ringbuffer.PageSize)...)
}

func cstring(s string) []byte { return append([]byte(s), 0) }
func u16(v uint16) []byte     { return binary.LittleEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte     { return binary.LittleEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte     { return binary.LittleEndian.AppendUint64(nil, v) }
func sized64(s string) []byte { return append(u64(uint64(len(s))), s...) }
func sized32(b []byte) []byte { return append(u32(uint32(len(b))), b...) }
