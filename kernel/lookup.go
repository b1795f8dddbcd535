package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"callops/kernelimage"

	"callops/internal/errno"
)

// Func returns the address of a function, named as [Symbols.Lookup] takes names.
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
	if addr, parsed := parseAddr(name); parsed == nil {
		if in, off, ok := k.Symbols.At(addr); ok {
			return 0, fmt.Errorf("no function begins at %s: it is %s+%#x: %w", name, in.Name, off, errno.ENOENT)
		}
	}
	return 0, k.suggest(err, name, func(sym kernelimage.Symbol) bool { return sym.Func })
}

// Symbol is [Symbols.Lookup] with an error that names symbols with similar names.
func (k *Kernel) Symbol(name string) (kernelimage.Symbol, error) {
	sym, err := k.Symbols.Lookup(name)
	if errors.Is(err, errno.ENOENT) {
		err = k.suggest(err, name, func(kernelimage.Symbol) bool { return true })
	}
	return sym, err
}

func (k *Kernel) suggest(err error, name string, may func(kernelimage.Symbol) bool) error {
	near := k.Symbols.Near(name, 3, may)
	if len(near) == 0 {
		return err
	}
	return fmt.Errorf("%w; is one of these meant: %s?", err, strings.Join(near, ", "))
}

// Near returns up to n names of symbols that may be meant, the most similar first.
func (s *Symbols) Near(name string, n int, may func(kernelimage.Symbol) bool) []string {
	type candidate struct {
		name     string
		distance int
	}
	limit := len(name)/3 + 1
	var found []candidate
	s.mu.RLock()
	for _, sym := range s.syms {
		have := sym.Name
		if !may(sym) {
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
