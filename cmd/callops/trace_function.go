package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"callops/emu"
	"callops/kernel"
	"callops/machine"
	"callops/trampolines"
)

// ringEntries is how many calls a trace holds; of more, the newest stay.
const ringEntries = 1 << 20

func newRing(k *kernel.Kernel) (*trampolines.Ring, error) {
	return trampolines.NewRing(k, 0, ringEntries)
}

// traceFunctions prints the calls that the function tracer saw, those of a
// call that failed as well.
func (t *tracing) traceFunctions(out io.Writer, m *machine.Machine, call callFunc) (emu.Result, error) {
	k, r := m.Kernel, m.Ftrace
	ring, err := newRing(k)
	if err != nil {
		return emu.Result{}, err
	}
	o, err := t.newOps(r, "trace", r.Code().FunctionTracer, 0)
	if err != nil {
		return emu.Result{}, err
	}
	res, err := registered(r, o, func() (emu.Result, error) { return call(nil) })
	printCalls(out, names{k}, ring.Read(), ring.Overrun())
	fmt.Fprintln(out)
	return res, err
}

// printCalls prints a trace, with a head and function names as Linux's trace
// file has them, and how often each function was called.
func printCalls(w io.Writer, n names, entries []trampolines.Entry, lost uint64) {
	fmt.Fprintf(w, `# tracer: function
#
# entries-in-buffer/entries-written: %d/%d   #P:1
#
# CPU   INSTRUCTION  FUNCTION
#  |         |          |
`, len(entries), uint64(len(entries))+lost)
	calls := make(map[string]int)
	for _, e := range entries {
		name := n.function(e.IP)
		calls[name]++
		fmt.Fprintf(w, "[%03d] %12d: %s <-%s\n", e.CPU, e.Time, name, n.function(e.ParentIP))
	}
	type count struct {
		name  string
		calls int
	}
	var counts []count
	for name, n := range calls {
		counts = append(counts, count{name, n})
	}
	slices.SortFunc(counts, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.name, b.name))
	})
	fmt.Fprintf(w, "\n# calls: %d\n", len(entries))
	for _, c := range counts {
		fmt.Fprintf(w, "#%8d  %s\n", c.calls, c.name)
	}
}
