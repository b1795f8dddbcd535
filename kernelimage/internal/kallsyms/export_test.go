package kallsyms

import "context"

// Parts are where the parts of a table stand.
type Parts struct{ Align, Names, Markers, TokenTable, TokenIndex, Addresses int }

func PartsOf(t *Table) Parts {
	return Parts{t.align, t.names, t.markers, t.tokenTable, t.tokenIndex, t.addresses}
}

// Steps returns how many steps a search took.
func Steps(b []byte) (int, error) {
	s := newSearch(context.Background(), b, func(int, int) bool { return false })
	before := s.left
	_, err := s.table(b)
	return before - s.left, err
}
