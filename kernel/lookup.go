package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
)

// Func returns the address of a function; "module:name" is one of a module.
// The error for an unknown one is ENOENT and names functions with similar
// names.
func (k *Kernel) Func(name string) (uint64, error) {
	sym, err := k.Symbols.Lookup(name)
	if err == nil && k.inFreedInit(sym.Addr) {
		return 0, fmt.Errorf("%s was in init text, which has been freed: %w", name, errno.ENOENT)
	}
	if err == nil && sym.Func {
		return sym.Addr, nil
	}
	if err == nil {
		return 0, fmt.Errorf("%s is an object, not a function: %w", name, errno.ENOENT)
	}
	if !errors.Is(err, errno.ENOENT) {
		return 0, err // several have that name
	}
	if near := k.Symbols.nearFuncs(name, 3); len(near) > 0 {
		err = fmt.Errorf("%w; is one of these meant: %s?", err, strings.Join(near, ", "))
	}
	return 0, err
}

// nearFuncs returns up to n names of functions, the most similar first.
func (s *Symbols) nearFuncs(name string, n int) []string {
	type candidate struct {
		name     string
		distance int
	}
	limit := len(name)/3 + 1
	var found []candidate
	s.mu.RLock()
	for _, sym := range s.syms {
		have := sym.Name
		if !sym.Func {
			continue
		}
		d := limit
		if abs(len(have)-len(name)) <= limit {
			d = editDistance(name, have)
		} else if len(name) < 3 || !strings.Contains(have, name) {
			continue
		}
		if d <= limit {
			found = append(found, candidate{have, d})
		}
	}
	s.mu.RUnlock()
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

func abs(n int) int { return max(n, -n) }

// editDistance is how many letters have to be added, removed or changed.
func editDistance(a, b string) int {
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
