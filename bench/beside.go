package bench

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Named is a result and what to call it.
type Named struct {
	Name  string
	Whose string // whose ftrace it is, where that differs
	*Result
}

// WriteBeside writes the overheads of several results side by side: a row for
// each number of ops, a column for each result, mode and engine.
func WriteBeside(w io.Writer, results []Named) error {
	var rows []scenario
	seen := make(map[scenario]bool)
	head := [4][]string{{"", ""}, {"", ""}, {"", ""}, {"relevant", "irrelevant"}}
	var cells []map[scenario]string
	for _, r := range results {
		for _, block := range r.blocks() {
			for i, line := range []string{r.Name, r.Whose, modeName(block[0].CallOps), block[0].Engine} {
				head[i] = append(head[i], line)
			}
			column := make(map[scenario]string)
			for i := range block {
				s := scenario{block[i].Relevant, block[i].Irrelevant}
				column[s] = short(block[i].Overhead)
				if !seen[s] {
					seen[s] = true
					rows = append(rows, s)
				}
			}
			cells = append(cells, column)
		}
	}
	var b bytes.Buffer
	b.WriteString("Overhead of a traced call, in executed instructions.\n")
	for i, r := range results {
		if i > 0 && r.Name == results[0].Name {
			continue
		}
		fmt.Fprintf(&b, "%s: %d calls of %s a row.\n", r.Name, r.Calls, r.Tracee)
	}
	b.WriteByte('\n')
	t := columns(&b)
	for _, line := range head {
		if strings.Join(line, "") == "" {
			continue
		}
		fmt.Fprintf(t, "%s\t\n", strings.Join(line, "\t"))
	}
	for _, s := range rows {
		line := []string{fmt.Sprint(s.relevant), fmt.Sprint(s.irrelevant)}
		for _, column := range cells {
			if line = append(line, column[s]); column[s] == "" {
				line[len(line)-1] = "-"
			}
		}
		fmt.Fprintf(t, "%s\t\n", strings.Join(line, "\t"))
	}
	t.Flush() // into a Buffer, which takes everything
	for _, r := range results {
		r.writeRegistration(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}
