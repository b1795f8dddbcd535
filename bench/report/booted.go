package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"callops/bench"
)

// Booted writes what a booted kernel's own ways to trace a call cost as two tables: a call, and attaching and detaching.
func Booted(w io.Writer, r *bench.BootedResult) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, booted: a call of %s that is traced, in instructions over one that is not.\n\n", r.Kernel, r.Func)
	tw := columns(&b)
	fmt.Fprintln(tw, "way\toverhead\tftrace\ttrampoline\tkernel\tprogram\t")
	var missing []string
	for _, t := range r.Triggers {
		if t.Unsupported != "" {
			missing = append(missing, fmt.Sprintf("%s is not there: %s\n", t.Way, t.Unsupported))
			continue
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t\n", t.Way, t.Overhead, t.Ftrace, t.Trampoline, t.Kernel, t.Program)
	}
	_ = tw.Flush() // to a buffer
	b.WriteString(strings.Join(missing, ""))
	b.WriteString("\nTo attach and to detach, on two CPUs of which one is idle: instructions, the guest's time, and what is waited for.\n\n")
	tw = columns(&b)
	fmt.Fprintln(tw, "way\tfunctions\tchange\tinstructions\tms\twaits\t")
	for _, c := range r.Changes {
		fmt.Fprintf(tw, "%s\t%d\t%s\t%d\t%.1f\t%s\t\n", c.Way, c.Functions, c.Change, c.Instructions, float64(c.Nanoseconds)/1e6, bootedWaits(c.Waits))
	}
	_ = tw.Flush()
	_, err := w.Write(b.Bytes())
	return err
}

func bootedWaits(waits []bench.BootedWait) string {
	if len(waits) == 0 {
		return "none"
	}
	list := make([]string, len(waits))
	for i, w := range waits {
		list[i] = w.Func
		if w.Times > 1 {
			list[i] = fmt.Sprintf("%d %s", w.Times, w.Func)
		}
	}
	return strings.Join(list, ", ")
}

// BootedJSON writes it as JSON.
func BootedJSON(w io.Writer, r *bench.BootedResult) error { return encode(w, r) }
