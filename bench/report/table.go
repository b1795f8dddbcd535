package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"callops/bench"
	"callops/ftrace"
)

// Table writes the result for people to read: a table for each engine and
// scheme, beside it what real kernels take where that compares, and below it how
// the overhead grows.
func Table(w io.Writer, r *bench.Result) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d calls of %s a row; tracers are ops_func_%s", r.Calls, r.Tracee, r.Tracer)
	if r.Irrelevant != "" {
		fmt.Fprintf(&b, ", irrelevant ops are on %s", r.Irrelevant)
	}
	b.WriteString(".\n")
	fmt.Fprintf(&b, "The code that ran is %s.\n", ftraceOf(r))
	b.WriteString("Per call: executed instructions. ns: wall clock of the emulation, not of hardware.\n")
	var notes []string
	for _, block := range blocks(r) {
		writeBlock(&b, r, block)
		if note := source(r, block); note != "" && !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	writeRegistration(&b, r)
	if len(notes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(notes, "\n"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// blocks splits the rows by engine and scheme.
func blocks(r *bench.Result) [][]bench.Row {
	var blocks [][]bench.Row
	start := 0
	for i := range r.Rows {
		if i+1 == len(r.Rows) || r.Rows[i+1].Engine != r.Rows[i].Engine || r.Rows[i+1].Scheme != r.Rows[i].Scheme {
			blocks = append(blocks, r.Rows[start:i+1])
			start = i + 1
		}
	}
	return blocks
}

// coreOf names whose core registered ops.
func coreOf(r *bench.Result) string {
	if r.Core == bench.CodeImage {
		return "by the image's own core"
	}
	return "by callops' core"
}

// ftraceOf names whose ftrace was measured.
func ftraceOf(r *bench.Result) string {
	if r.Code == bench.CodeImage {
		return "the image's own ftrace"
	}
	return "callops' ftrace"
}

// modeName names a scheme in tables and plots.
func modeName(s ftrace.Scheme) string {
	switch s {
	case ftrace.CallOps:
		return "CALL_OPS on"
	case ftrace.Global:
		return "CALL_OPS off"
	}
	return s.String()
}

// columns right-aligns cells, which are separated by tabs.
func columns(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func writeBlock(b *bytes.Buffer, r *bench.Result, rows []bench.Row) {
	fmt.Fprintf(b, "\n%s, %s\n", modeName(rows[0].Scheme), rows[0].Engine)
	counted := r.Tracer == bench.TracerCount
	head := []string{"relevant", "irrelevant", "per call", "overhead", "trampoline", "ns"}
	if counted {
		head = append(head, "callbacks")
	}
	switch {
	case r.AsSample && rows[0].Scheme != ftrace.Global:
		head = append(head, "Linux 6.12 per call", "Linux 6.12 overhead")
	case r.AsSample:
		head = append(head, "Linux 6.1 overhead")
	}
	t := columns(b)
	fmt.Fprintf(t, "%s\t\n", strings.Join(head, "\t"))
	for i := range rows {
		row := &rows[i]
		cells := []string{
			fmt.Sprint(row.Relevant), fmt.Sprint(row.Irrelevant), short(row.PerCall), short(row.Overhead),
			fmt.Sprint(row.Trampoline), fmt.Sprintf("%.1f", row.NsPerCall),
		}
		if counted {
			cells = append(cells, fmt.Sprint(row.Callbacks))
		}
		fmt.Fprintf(t, "%s\t\n", strings.Join(append(cells, referenceCells(r, row)...), "\t"))
	}
	t.Flush() // into a Buffer, which takes everything
	for _, line := range trends(rows) {
		fmt.Fprintf(b, "  %v\n", &line)
	}
}

// referenceCells are a dash each where the real kernel's row is not known.
func referenceCells(r *bench.Result, row *bench.Row) []string {
	if !r.AsSample {
		return nil
	}
	ref, ok := row.Reference()
	cells := []string{"-", "-"}
	if ok {
		cells = []string{short(ref.PerCall), short(ref.Overhead)}
	}
	if row.Scheme == ftrace.Global {
		return cells[1:]
	}
	return cells
}

// source is where the reference columns of a block come from.
func source(r *bench.Result, rows []bench.Row) string {
	switch {
	case !r.AsSample:
		return ""
	case rows[0].Scheme != ftrace.Global:
		return "Reference: " + bench.Linux612 + "."
	}
	return "Reference: " + bench.Linux61 + "."
}

func writeRegistration(b *bytes.Buffer, r *bench.Result) {
	if len(r.Registration) == 0 {
		return
	}
	of := "of a kernel made up for it"
	if image := r.Registration[0].Image; image != "" {
		of = "of " + image
	}
	fmt.Fprintf(b, "\nRegistration of one ops with all %d sites %s in its filter, %s\n", r.Registration[0].Sites, of, coreOf(r))
	b.WriteString("Bytes are those that a site takes beside text.\n")
	t := columns(b)
	fmt.Fprintln(t, "engine\tscheme\tregister ms\tunregister ms\thost bytes\tguest bytes\t")
	for _, reg := range r.Registration {
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", reg.Engine, reg.Scheme,
			float64(reg.RegisterNs)/1e6, float64(reg.UnregisterNs)/1e6, reg.HostBytes, reg.GuestBytes)
	}
	t.Flush()
	writeJoins(b, r)
	writeSets(b, r)
}

// writeSets writes what many different sets take.
func writeSets(b *bytes.Buffer, r *bench.Result) {
	if len(r.Sets) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%d ops on these sites, in as many combinations as make %d different sets\n", r.Sets[0].Ops, r.Sets[0].Wanted)
	t := columns(b)
	fmt.Fprintln(t, "limit\tsets\tbytes a set\tsites on the list\twaits\tregister all ms\t")
	for _, c := range r.Sets {
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%.1f\t\n", c.Limit, c.Live, c.Bytes/uint64(max(c.Live, 1)), c.OnList, c.Waits, float64(c.RegisterNs)/1e6)
	}
	t.Flush()
}

// writeJoins writes what more ops on the same sites take.
func writeJoins(b *bytes.Buffer, r *bench.Result) {
	b.WriteString("\nRegistration of one more ops on these sites, register and unregister in ms\n")
	t := columns(b)
	head := []string{"engine", "scheme"}
	for _, j := range r.Registration[0].Joins {
		head = append(head, fmt.Sprintf("as number %d", j.Ops), "")
	}
	fmt.Fprintf(t, "%s\t\n", strings.Join(head, "\t"))
	for _, reg := range r.Registration {
		line := []string{reg.Engine, reg.Scheme.String()}
		for _, j := range reg.Joins {
			line = append(line, fmt.Sprintf("%.1f", float64(j.RegisterNs)/1e6), fmt.Sprintf("%.1f", float64(j.UnregisterNs)/1e6))
		}
		fmt.Fprintf(t, "%s\t\n", strings.Join(line, "\t"))
	}
	t.Flush()
}

// short writes a whole number as one, any other with two digits more.
func short(v float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00")
}
