package kallsyms

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"callops/internal/errno"
)

const (
	maxTables = 16 // so many token tables are followed up

	// workFactor bounds the search to so many steps for each byte of the file;
	// a kernel's own table takes less than one.
	workFactor = 4
	workSlack  = 1 << 20
	cancelStep = 1 << 16 // steps between two looks at the context
)

// Find locates the table in a kernel's raw Image: its token index is 256
// ascending offsets of strings that end where it begins, and the other parts
// follow from there. filled reports whether relocations fill n words from the
// given offset on, for addresses that are zero in the file. Of several tables
// that hold together none is taken.
//
// The search takes time linear in len(b). ENOEXEC when no table is found, or
// when the search would take longer; the context's error when it ends before.
func Find(ctx context.Context, b []byte, filled func(off, n int) bool) (*Table, error) {
	return newSearch(ctx, b, filled).table(b)
}

// search is what bounds looking for a table.
type search struct {
	ctx    context.Context
	filled func(off, n int) bool
	left   int // steps; negative when they are used up
}

func newSearch(ctx context.Context, b []byte, filled func(off, n int) bool) *search {
	return &search{ctx: ctx, filled: filled, left: workFactor*len(b) + workSlack}
}

func (s *search) table(b []byte) (*Table, error) {
	var found *Table
	tries := 0
	for at := 4; at+2*numTokens <= len(b) && tries < maxTables; at += 4 {
		if at%cancelStep == 0 && s.ctx.Err() != nil {
			break
		}
		// The first two offsets: 0 and, after a short string, the next.
		if w := u32(b, at); w&^0xff0000 != 0 || w == 0 {
			continue
		}
		tokens := Table{b: b, tokenIndex: at}
		if !tokens.findTokens() {
			continue
		}
		tries++
		for _, align := range []int{8, 4} {
			t := tokens
			if t.align = align; !t.aligned() || !s.findNames(&t) || !s.findAddresses(&t) {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("two symbol tables, with token indexes at %#x and %#x of the file: %w", found.tokenIndex, at, errno.ENOEXEC)
			}
			found = &t
		}
	}
	switch {
	case s.ctx.Err() != nil:
		return nil, fmt.Errorf("looking for the symbol table: %w", context.Cause(s.ctx))
	case found != nil:
		return found, nil
	case s.left < 0:
		return nil, fmt.Errorf("no embedded symbol table (kallsyms) found: too much looks like one: %w", errno.ENOEXEC)
	}
	return nil, fmt.Errorf("no embedded symbol table (kallsyms) found: %w", errno.ENOEXEC)
}

// step takes one, and reports whether there was one left.
func (s *search) step() bool {
	if s.left--; s.left%cancelStep == 0 && s.ctx.Err() != nil {
		s.left = -1
	}
	return s.left >= 0
}

// findTokens checks that the strings of the index precede it.
func (t *Table) findTokens() bool {
	index := func(i int) int { return u16(t.b, t.tokenIndex+2*i) }
	for i := 1; i < numTokens; i++ {
		if index(i) <= index(i-1) || index(i) > maxTokenTable {
			return false
		}
	}
	// The last string ends before the index, with a zero and padding.
	end := t.tokenIndex
	for end > 0 && t.tokenIndex-end <= 8 && t.b[end-1] == 0 {
		end--
	}
	if pad := t.tokenIndex - end; pad < 1 || pad > 8 {
		return false
	}
	last := bytes.LastIndexByte(t.b[max(0, end-maxNameLen):end], 0)
	if last < 0 {
		return false
	}
	t.tokenTable = max(0, end-maxNameLen) + last + 1 - index(numTokens-1)
	if t.tokenTable <= 0 {
		return false
	}
	table := string(t.b[t.tokenTable:end])
	for i := range t.tokens {
		stop := len(table)
		if i < numTokens-1 {
			if stop = index(i+1) - 1; table[stop] != 0 {
				return false
			}
		}
		if t.tokens[i] = table[index(i):stop]; len(t.tokens[i]) > maxNameLen {
			return false
		}
	}
	return true
}

// aligned reports whether the tokens are where a table of its alignment has
// them.
func (t *Table) aligned() bool { return t.tokenTable%t.align == 0 && t.tokenIndex%t.align == 0 }

// findNames looks for markers before the token table, with or without
// seqs_of_names between, and for names before those.
func (s *search) findNames(t *Table) bool {
	for at := t.tokenTable - t.align; at >= t.align && t.tokenTable-at <= 4*maxSymbols; at -= t.align {
		if u32(t.b, at) != 0 {
			continue
		}
		gap := t.tokenTable - at
		// How many markers there would be without seqs_of_names, a word of
		// padding more or less; and with it.
		for _, m := range []int{gap / 4, gap/4 - 1} {
			if s.markersAt(t, at, m) && s.namesBefore(t, at, m, 0) {
				return true
			}
		}
		if t.align < 8 {
			continue // seqs_of_names comes after the addresses
		}
		most := gap * chunk / (3*chunk + 4) // symbols
		for m := max(1, most/chunk); m <= most/chunk+1; m++ {
			if s.markersAt(t, at, m) && s.namesBefore(t, at, m, alignUp(at+4*m, t.align)) {
				return true
			}
		}
		if s.left < 0 {
			return false
		}
	}
	return false
}

// markersAt checks that m ascending offsets of chunks of names are there. As the
// first is zero and no other, no word is looked at from two places.
func (s *search) markersAt(t *Table, at, m int) bool {
	if m < 1 || at+4*m > t.tokenTable {
		return false
	}
	for i := 1; i < m; i++ {
		d := int64(u32(t.b, at+4*i)) - int64(u32(t.b, at+4*i-4))
		if d < shortestName*chunk || d > longestName*chunk || !s.step() {
			return false
		}
	}
	return true
}

// namesBefore looks for the names that m markers at the given place are of, and
// whose number stands before them.
func (s *search) namesBefore(t *Table, markers, m, seqs int) bool {
	lastChunk := int(u32(t.b, markers+4*(m-1)))
	lowest := max(t.align, markers-lastChunk-chunk*maxNameLen)
	for at := (markers - lastChunk - shortestName) &^ (t.align - 1); at >= lowest && s.step(); at -= t.align {
		n := int(u32(t.b, at-t.align))
		if n == 0 || n > maxSymbols || (n+chunk-1)/chunk != m || t.align == 8 && u32(t.b, at-4) != 0 ||
			seqs != 0 && alignUp(seqs+3*n, t.align) != t.tokenTable ||
			seqs == 0 && alignUp(markers+4*m, t.align) != t.tokenTable {
			continue
		}
		t.n, t.names, t.markers, t.seqs = n, at, markers, seqs
		end, ok := t.walk(func(int, []byte) bool { return s.step() })
		if ok && s.left >= 0 && alignUp(end, t.align) == markers {
			return true
		}
	}
	return false
}

// findAddresses tries each place and form that addresses may have; the right
// one makes them ascend, as the table is sorted.
func (s *search) findAddresses(t *Table) bool {
	after := t.tokenIndex + 2*numTokens
	if t.align == 4 {
		t.addresses, t.seqs, t.Form = after, after+4*t.n, Place
		return t.ascends() && t.isSeqs(t.seqs)
	}
	number := t.names - t.align
	for _, c := range []struct{ addresses, base int }{
		{after, alignUp(after+4*t.n, 8)},
		{number - 8 - alignUp(4*t.n, 8), number - 8},
	} {
		if c.addresses < 0 || c.base+8 > len(t.b) {
			continue
		}
		for _, t.Form = range []Form{Relative, PerCPU} {
			if t.addresses, t.base = c.addresses, c.base; !t.ascends() {
				continue
			}
			if seqs := c.base + 8; c.addresses == after && t.seqs == 0 && t.isSeqs(seqs) {
				t.seqs = seqs
			}
			return true
		}
	}
	t.Form, t.base = Absolute, 0
	for _, t.addresses = range []int{after, number - 8*t.n} {
		if t.ascends() && (u64(t.b, t.addresses) != 0 || s.filled(t.addresses, t.n)) {
			return true
		}
	}
	return false
}

// ascends checks the order of the addresses. Absolute ones that the kernel
// would relocate are zero in the file, which is an order too.
func (t *Table) ascends() bool {
	size := 4
	if t.Form == Absolute {
		size = 8
	}
	if t.addresses < 0 || t.n > (len(t.b)-t.addresses)/size {
		return false
	}
	const middle = 1 << 63 // an origin such that no address wraps
	last := uint64(0)
	for i := range t.n {
		v := t.addr(i, middle)
		if v < last {
			return false
		}
		last = v
	}
	// All the same is no table of relative addresses.
	return t.Form == Absolute || t.n == 1 || t.addr(0, middle) != last
}

// isSeqs reports whether n three-byte numbers are there that are all of 0 to n-1.
func (t *Table) isSeqs(at int) bool {
	if at > len(t.b) || t.n > (len(t.b)-at)/3 {
		return false
	}
	seen := make([]bool, t.n)
	for numbers := range slices.Chunk(t.b[at:at+3*t.n], 3) {
		seq := int(numbers[0])<<16 | int(numbers[1])<<8 | int(numbers[2])
		if seq >= t.n || seen[seq] {
			return false
		}
		seen[seq] = true
	}
	return true
}
