package bench

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the result for people to read: a table for each engine and
// mode, beside it what real kernels take where that compares, and below it how
// the overhead grows.
func (r *Result) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d calls of %s a row; tracers are ops_func_%s, irrelevant ops are on %s.\n",
		r.Calls, r.Tracee, r.Tracer, r.Irrelevant)
	b.WriteString("Per call: executed instructions. ns: wall clock of the emulation, not of hardware.\n")
	var notes []string
	for _, block := range r.blocks() {
		r.writeBlock(&b, block)
		if note := r.source(block); note != "" && !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	r.writeRegistration(&b)
	if len(notes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(notes, "\n"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// blocks splits the rows by engine and mode.
func (r *Result) blocks() [][]Row {
	var blocks [][]Row
	start := 0
	for i := range r.Rows {
		if i+1 == len(r.Rows) || r.Rows[i+1].Engine != r.Rows[i].Engine || r.Rows[i+1].CallOps != r.Rows[i].CallOps {
			blocks = append(blocks, r.Rows[start:i+1])
			start = i + 1
		}
	}
	return blocks
}

// modeName names a mode in tables and plots.
func modeName(callOps bool) string {
	if callOps {
		return "CALL_OPS on"
	}
	return "CALL_OPS off"
}

// columns right-aligns cells, which are separated by tabs.
func columns(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func (r *Result) writeBlock(b *bytes.Buffer, rows []Row) {
	fmt.Fprintf(b, "\n%s, %s\n", modeName(rows[0].CallOps), rows[0].Engine)
	counted := r.Tracer == TracerCount
	head := []string{"relevant", "irrelevant", "per call", "overhead", "trampoline", "ns"}
	if counted {
		head = append(head, "callbacks")
	}
	switch {
	case r.asSample && rows[0].CallOps:
		head = append(head, "Linux 6.12 per call", "Linux 6.12 overhead")
	case r.asSample:
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
		fmt.Fprintf(t, "%s\t\n", strings.Join(append(cells, r.referenceCells(row)...), "\t"))
	}
	t.Flush() // into a Buffer, which takes everything
	for _, line := range trends(rows) {
		fmt.Fprintf(b, "  %v\n", &line)
	}
}

// referenceCells are a dash each where the real kernel's row is not known.
func (r *Result) referenceCells(row *Row) []string {
	if !r.asSample {
		return nil
	}
	ref, ok := referenceFor(row)
	cells := []string{"-", "-"}
	if ok {
		cells = []string{short(ref.perCall), short(ref.overhead)}
	}
	if !row.CallOps {
		return cells[1:]
	}
	return cells
}

// source is where the reference columns of a block come from.
func (r *Result) source(rows []Row) string {
	switch {
	case !r.asSample:
		return ""
	case rows[0].CallOps:
		return "Reference: " + linux612 + "."
	}
	return "Reference: " + linux61 + "."
}

func (r *Result) writeRegistration(b *bytes.Buffer) {
	if len(r.Registration) == 0 {
		return
	}
	fmt.Fprintf(b, "\nRegistration, in a kernel made up of %d functions: one ops with all of their sites in its filter; bytes are those a site takes beside text\n", r.Registration[0].Sites)
	t := columns(b)
	fmt.Fprintln(t, "engine\tCALL_OPS\tregister ms\tunregister ms\thost bytes\tguest bytes\t")
	for _, reg := range r.Registration {
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", reg.Engine, strings.TrimPrefix(modeName(reg.CallOps), "CALL_OPS "),
			float64(reg.RegisterNs)/1e6, float64(reg.UnregisterNs)/1e6, reg.HostBytes, reg.GuestBytes)
	}
	t.Flush()
}

// short writes a whole number as one, any other with two digits more.
func short(v float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00")
}
