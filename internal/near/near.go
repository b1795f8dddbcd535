// Package near finds known names similar to a misspelt one.
package near

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Names returns up to n of all names, those that are most similar to name first:
// a third of its letters, and one more, may differ, or it is a part of them.
func Names(name string, all iter.Seq[string], n int) []string {
	type candidate struct {
		name     string
		distance int
	}
	limit := len(name)/3 + 1
	var found []candidate
	for have := range all {
		d := limit
		if max(len(have)-len(name), len(name)-len(have)) <= limit {
			d = distance(name, have)
		} else if len(name) < 3 || !strings.Contains(have, name) {
			continue
		}
		if d <= limit {
			found = append(found, candidate{have, d})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	found = slices.Compact(found)
	var names []string
	for _, c := range found[:min(n, len(found))] {
		names = append(names, c.name)
	}
	return names
}

// distance is how many letters have to be added, removed or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
