package report

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"callops/bench"
)

// Direct writes the comparison of designs of direct calls as two tables: what a call costs, and
// what a change takes.
func Direct(w io.Writer, r *bench.DirectResult) error {
	var b bytes.Buffer
	b.WriteString("A call of a function that has a direct call: instructions over one that has not.\n")
	b.WriteString("Beside it are ops_func_nop tracers. In parentheses: of these, ftrace_caller's.\n\n")
	directCalls(&b, r.Calls)
	if len(r.Among) > 0 {
		b.WriteString("\nThe same out of range and without tracers, where many sites have a direct call; the mean over 64 of them.\n\n")
		directAmong(&b, r.Among)
	}
	if len(r.Changes) > 0 {
		b.WriteString("\nWhat a change takes. Fields: stores to ops, the list and the like; filled: bytes written to what no CPU can reach yet.\n")
		b.WriteString("Waits: synchronous grace periods. Held: bytes on the kernel's heap afterwards, a site.\n")
		directChanges(&b, r.Changes)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// directCalls writes a row for each design and reach.
func directCalls(b *bytes.Buffer, rows []bench.DirectRow) {
	var tracers []string
	for _, row := range rows {
		if row.Design != rows[0].Design || row.InRange != rows[0].InRange {
			break
		}
		tracers = append(tracers, plural(row.Tracers, "tracer"))
	}
	tw := columns(b)
	fmt.Fprintf(tw, "design\treach\t%s\t\n", strings.Join(tracers, "\t"))
	for i := 0; i < len(rows); i += len(tracers) {
		reach := "far"
		if rows[i].InRange {
			reach = "near"
		}
		fmt.Fprintf(tw, "%s\t%s\t", rows[i].Design, reach)
		for _, row := range rows[i : i+len(tracers)] {
			fmt.Fprintf(tw, "%d (%d)\t", row.Overhead, row.Trampoline)
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush() // to a buffer
}

// directAmong writes a row for each design.
func directAmong(b *bytes.Buffer, all []bench.DirectAmong) {
	var sites []string
	for _, a := range all {
		if a.Design == all[0].Design {
			sites = append(sites, plural(a.Sites, "site"))
		}
	}
	tw := columns(b)
	fmt.Fprintf(tw, "design\t%s\t", strings.Join(sites, "\t"))
	for i, a := range all {
		if i%len(sites) == 0 {
			fmt.Fprintf(tw, "\n%s\t", a.Design)
		}
		fmt.Fprintf(tw, "%.1f\t", a.Overhead)
	}
	fmt.Fprintln(tw)
	_ = tw.Flush()
}

// directChanges writes a table for each number of sites and addresses.
func directChanges(b *bytes.Buffer, all []bench.DirectChange) {
	type key struct{ sites, addresses int }
	var keys []key
	rows := map[key][]bench.DirectChange{}
	for _, c := range all {
		k := key{c.Sites, c.Addresses}
		if rows[k] == nil {
			keys = append(keys, k)
		}
		rows[k] = append(rows[k], c)
	}
	for _, k := range keys {
		fmt.Fprintf(b, "\n%s, %s\n", plural(k.sites, "site"), plural(k.addresses, "address"))
		tw := columns(b)
		fmt.Fprintln(tw, "change\tdesign\tliterals\tinstructions\tfields\tfilled\tIPIs\twaits\tcallbacks\theld\t")
		for _, change := range []string{"attach", "change one", "change all", "detach"} {
			for _, c := range rows[k] {
				if c.Change == change {
					fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", c.Change, c.Design, c.Literals, c.Instructions, c.Fields, c.Filled,
						c.IPIs, c.Waits, c.Callbacks, strconv.FormatFloat(c.Held, 'f', 1, 64))
				}
			}
		}
		_ = tw.Flush()
	}
}

func plural(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
