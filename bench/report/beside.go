package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"callops/bench"
)

// opsCount is how many ops a row has.
type opsCount struct{ relevant, irrelevant int }

// Named is a result and what to call it.
type Named struct {
	Name string
	*bench.Result
}

// besideColumns is how many results' columns fit into 100 characters.
const besideColumns = 5

// column is the overheads of one result, scheme and engine.
type column struct {
	head  []string
	cells map[opsCount]string
}

// Beside writes the overheads of several results side by side: a row for each
// number of ops, a column for each result, scheme and engine. Results have letters,
// which a list at the top explains. What does not fit beside one another within
// 100 characters comes below.
func Beside(w io.Writer, results []Named) error {
	var b bytes.Buffer
	b.WriteString("Overhead of a traced call, in executed instructions.\n")
	var all []column
	var rows []opsCount
	seen := make(map[opsCount]bool)
	for i, r := range results {
		letter := letterOf(i)
		fmt.Fprintf(&b, "%s: %s, %s, %d calls of %s a row\n", letter, r.Name, ftraceOf(r.Result), r.Calls, r.Tracee)
		for _, block := range blocks(r.Result) {
			c := column{[]string{letter, modeName(block[0].Scheme), block[0].Engine}, make(map[opsCount]string)}
			for i := range block {
				n := opsCount{block[i].Relevant, block[i].Irrelevant}
				c.cells[n] = short(block[i].Overhead)
				if !seen[n] {
					seen[n] = true
					rows = append(rows, n)
				}
			}
			all = append(all, c)
		}
	}
	for start := 0; start < len(all); start += besideColumns {
		b.WriteByte('\n')
		t := columns(&b)
		writeColumns(t, all[start:min(start+besideColumns, len(all))], rows)
		t.Flush() // into a Buffer, which takes everything
	}
	for _, r := range results {
		writeRegistration(&b, r.Result)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// letterOf counts A to Z, and on with numbers.
func letterOf(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return fmt.Sprint(i + 1)
}

func writeColumns(t *tabwriter.Writer, part []column, rows []opsCount) {
	for i, left := range []string{"\t", "\t", "relevant\tirrelevant"} {
		line := []string{left}
		for _, c := range part {
			line = append(line, c.head[i])
		}
		fmt.Fprintf(t, "%s\t\n", strings.Join(line, "\t"))
	}
	for _, n := range rows {
		line := []string{fmt.Sprint(n.relevant), fmt.Sprint(n.irrelevant)}
		for _, c := range part {
			cell := c.cells[n]
			if cell == "" {
				cell = "-"
			}
			line = append(line, cell)
		}
		fmt.Fprintf(t, "%s\t\n", strings.Join(line, "\t"))
	}
}
