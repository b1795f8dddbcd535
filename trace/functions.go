package trace

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
)

// WriteFunctions writes what the function tracer recorded: a head and a line for
// each event, as Linux's trace file has them, and after them how often each function
// was called. Arguments are written where they were recorded, as in Linux 6.15.
//
// Differs: times are instructions, and there is no task.
func WriteFunctions(w io.Writer, f *Recording, s *Symbols) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `# tracer: function
#
# entries-in-buffer/entries-written: %d/%d   #P:%d
#
# CPU   INSTRUCTION  FUNCTION
#  |         |          |
`, len(f.Events), uint64(len(f.Events))+f.Overrun(), f.CPUs)
	for i := range f.Events {
		e := &f.Events[i]
		function := s.Name(e.IP)
		if e.Args != nil {
			function = s.call(e)
		}
		fmt.Fprintf(out, "[%03d] %12d: %s <-%s\n", e.CPU, e.Time, function, s.Name(e.ParentIP))
	}
	fmt.Fprintf(out, "\n# calls: %d\n", len(f.Events))
	for _, c := range f.counts(s.Name) {
		fmt.Fprintf(out, "#%8d  %s\n", c.calls, c.name)
	}
	return out.Flush()
}

type count struct {
	name  string
	calls int
}

// counts is how often each function was called, the most often first.
func (r *Recording) counts(name func(addr uint64) string) []count {
	calls := make(map[string]int)
	for _, e := range r.Events {
		calls[name(e.IP)]++
	}
	counts := make([]count, 0, len(calls))
	for name, n := range calls {
		counts = append(counts, count{name, n})
	}
	slices.SortFunc(counts, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.name, b.name))
	})
	return counts
}

// callJSON is a traced call. Addresses are hexadecimal strings in JSON, where numbers
// of 64 bits are not safe.
type callJSON struct {
	CPU      uint32 `json:"cpu"`
	Time     uint64 `json:"time"`
	IP       string `json:"ip"`
	Function string `json:"function"`
	ParentIP string `json:"parent_ip"`
	Parent   string `json:"parent"`

	Args []string `json:"args,omitempty"`
}

// FunctionsJSON is what the function tracer recorded, as encoding/json takes it.
func FunctionsJSON(f *Recording, s *Symbols) any {
	events := make([]callJSON, len(f.Events))
	for i := range f.Events {
		e := &f.Events[i]
		events[i] = callJSON{e.CPU, e.Time, hex(e.IP), s.Name(e.IP), hex(e.ParentIP), s.Name(e.ParentIP), s.arguments(e)}
	}
	return events
}
