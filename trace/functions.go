package trace

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Functions is what the function tracer recorded.
type Functions struct {
	CPUs    int // on which was traced
	Events  []Event
	Overrun uint64 // events that were lost before those
}

// WriteText writes a head and a line for each event, as Linux's trace file has
// them, and after them how often each function was called. name gives an
// address its function's name.
//
// Differs: times are instructions, and there is no task.
func (f *Functions) WriteText(w io.Writer, name func(addr uint64) string) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `# tracer: function
#
# entries-in-buffer/entries-written: %d/%d   #P:%d
#
# CPU   INSTRUCTION  FUNCTION
#  |         |          |
`, len(f.Events), uint64(len(f.Events))+f.Overrun, f.CPUs)
	for _, e := range f.Events {
		fmt.Fprintf(out, "[%03d] %12d: %s <-%s\n", e.CPU, e.Time, name(e.IP), name(e.ParentIP))
	}
	fmt.Fprintf(out, "\n# calls: %d\n", len(f.Events))
	for _, c := range f.counts(name) {
		fmt.Fprintf(out, "#%8d  %s\n", c.calls, c.name)
	}
	return out.Flush()
}

type count struct {
	name  string
	calls int
}

// counts is how often each function was called, the most often first.
func (f *Functions) counts(name func(addr uint64) string) []count {
	calls := make(map[string]int)
	for _, e := range f.Events {
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
