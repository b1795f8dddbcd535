package profile

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteFolded writes a line for each stack, as flamegraph.pl and its like read them: the
// functions from the first caller on, and how many instructions were executed in the last.
func (p *Profile) WriteFolded(w io.Writer) error {
	stacks := make(map[string]uint64)
	paths := make(map[*node]string)
	p.root.each(func(n *node) {
		path := p.name(n.fn)
		if above := paths[n.parent]; above != "" {
			path = above + ";" + path
		}
		paths[n] = path
		for _, c := range n.counts {
			stacks[path] += c
		}
	})
	out := bufio.NewWriter(w)
	for _, path := range slices.Sorted(maps.Keys(stacks)) {
		if n := stacks[path]; n > 0 {
			fmt.Fprintf(out, "%s %d\n", path, n)
		}
	}
	return out.Flush()
}

// name is a function's, without what has a meaning in a folded stack.
func (p *Profile) name(fn uint64) string {
	name, _, _ := p.names(fn)
	return strings.Map(func(r rune) rune {
		if r == ';' || r == '\n' {
			return '_'
		}
		return r
	}, name)
}
