// Package kallsyms reads the symbol table that is embedded in a Linux kernel, as
// scripts/kallsyms.c writes it. Its parts have no header: they are recognised by
// their structure.
//
//	up to 6.1          6.2, 6.3           6.4 to 6.19        from 7.0 on
//	addresses          addresses          num_syms           num_syms
//	num_syms           num_syms           names              names
//	names              names              markers            markers
//	markers            markers            token_table        token_table
//	token_table        seqs_of_names      token_index        token_index
//	token_index        token_table        addresses          addresses
//	                   token_index        seqs_of_names      seqs_of_names
//
// Each part is aligned to 8 bytes, from 7.0 on to 4. See [Form] for how
// addresses are stored.
package kallsyms

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"

	"callops/internal/errno"
)

const (
	numTokens = 256
	chunk     = 256 // a marker stands for so many symbols

	maxSymbols    = 1 << 22 // seqs_of_names has 3 bytes for each number
	maxNameLen    = 512     // KSYM_NAME_LEN
	maxText       = 256 << 20
	textFactor    = 8       // names are at most so many times larger than the file
	maxTokenTable = 1 << 14 // bytes of 256 tokens, which are parts of names

	shortestName = 2          // a length and one token
	longestName  = 2 + 0x3fff // two bytes of length and all that they can express
)

// Form is how addresses are stored.
type Form uint8

const (
	// Relative is 32-bit offsets from kallsyms_relative_base.
	Relative Form = iota
	// PerCPU is KALLSYMS_ABSOLUTE_PERCPU: base-1-offset where the offset is
	// negative, else an absolute value.
	PerCPU
	// Absolute is 64-bit addresses, of a kernel without KALLSYMS_BASE_RELATIVE.
	Absolute
	// Place is signed 32-bit offsets from where each of them stands, as from 7.0
	// on. There is no kallsyms_relative_base.
	Place
)

func (f Form) String() string {
	return [...]string{"base-relative", "base-relative, absolute per-CPU", "absolute", "place-relative"}[f]
}

// Symbol is an entry of the table.
type Symbol struct {
	Name string
	Type byte // as nm's
	Addr uint64
}

// Table is a table located in an image. Offsets are in the file.
type Table struct {
	Form Form

	b          []byte
	align      int // of the parts
	n          int // symbols
	names      int
	markers    int
	tokenTable int
	tokenIndex int
	addresses  int // kallsyms_offsets or kallsyms_addresses
	base       int // kallsyms_relative_base; 0: none
	seqs       int // kallsyms_seqs_of_names; 0: none

	tokens [numTokens]string
}

// String describes the layout.
func (t *Table) String() string {
	s := t.Form.String()
	if t.seqs != 0 {
		s += ", seqs_of_names"
	}
	if t.addresses > t.tokenIndex {
		return s + ", addresses last"
	}
	return s + ", addresses first"
}

// Len is the number of symbols.
func (t *Table) Len() int { return t.n }

// Offset is where the table's names stand.
func (t *Table) Offset() int { return t.names }

// Origin returns the offset of the word that addresses count from, which is
// kallsyms_relative_base or, of absolute ones, the first. Relocation may have to
// fill it. Place-relative addresses have none.
func (t *Table) Origin() (off int, ok bool) {
	switch t.Form {
	case Place:
		return 0, false
	case Absolute:
		return t.addresses, true
	}
	return t.base, true
}

// Symbols decodes the table of an image that is linked at link and relocated.
// Names are parts of one string. ENOEXEC when they are too long.
func (t *Table) Symbols(link uint64) (iter.Seq[Symbol], error) {
	size := 0
	t.walk(func(_ int, tokens []byte) bool {
		for _, c := range tokens {
			size += len(t.tokens[c])
		}
		return true
	})
	if size > maxText || size > textFactor*len(t.b) {
		return nil, fmt.Errorf("kallsyms names at %#x of the file: %#x bytes: %w", t.names, size, errno.ENOEXEC)
	}
	var all strings.Builder
	all.Grow(size)
	ends := make([]int32, t.n)
	t.walk(func(i int, tokens []byte) bool {
		for _, c := range tokens {
			all.WriteString(t.tokens[c])
		}
		ends[i] = int32(all.Len())
		return true
	})
	start := int32(0)
	for i, end := range ends {
		if n := end - start; n < 2 || n > maxNameLen {
			return nil, fmt.Errorf("kallsyms names at %#x of the file: number %d has %d letters: %w", t.names, i, n, errno.ENOEXEC)
		}
		start = end
	}
	origin := link
	if off, ok := t.Origin(); ok {
		origin = u64(t.b, off)
	}
	names := all.String()
	return func(yield func(Symbol) bool) {
		start := int32(0)
		for i, end := range ends {
			name := names[start:end]
			start = end
			if !yield(Symbol{Name: name[1:], Type: name[0], Addr: t.addr(i, origin)}) {
				return
			}
		}
	}, nil
}

// Addresses returns what the symbols' addresses are when they count from origin,
// in ascending order. See [Table.Address].
func (t *Table) Addresses(origin uint64) []uint64 {
	addrs := make([]uint64, t.n)
	for i := range addrs {
		addrs[i] = t.addr(i, origin)
	}
	return addrs
}

// Address returns the address that the symbol called name has when addresses
// count from origin, the value of the word that [Table.Origin] names; of
// place-relative ones, the link address of the file's first byte. Of several
// symbols of that name it is the first's.
func (t *Table) Address(name string, origin uint64) (addr uint64, ok bool) {
	t.walk(func(i int, tokens []byte) bool {
		if t.is(name, tokens) {
			addr, ok = t.addr(i, origin), true
		}
		return !ok
	})
	return addr, ok
}

// is reports whether tokens spell a type and name.
func (t *Table) is(name string, tokens []byte) bool {
	rest, skipped := name, false
	for _, c := range tokens {
		tok := t.tokens[c]
		if !skipped && tok != "" {
			tok, skipped = tok[1:], true // the type
		}
		var found bool
		if rest, found = strings.CutPrefix(rest, tok); !found {
			return false
		}
	}
	return rest == ""
}

func (t *Table) addr(i int, origin uint64) uint64 {
	if t.Form == Absolute {
		return u64(t.b, t.addresses+8*i)
	}
	at := t.addresses + 4*i
	off := u32(t.b, at)
	switch {
	case t.Form == Place:
		return origin + uint64(at) + uint64(int64(int32(off)))
	case t.Form == Relative:
		return origin + uint64(off)
	case int32(off) < 0:
		return origin - 1 - uint64(int64(int32(off)))
	}
	return uint64(off)
}

// walk goes through the compressed names, which must be where the markers point,
// and returns where they end. visit gets each, if it is not nil, until it
// returns false.
func (t *Table) walk(visit func(i int, tokens []byte) bool) (end int, ok bool) {
	at := t.names
	for i := range t.n {
		if i%chunk == 0 && at-t.names != int(u32(t.b, t.markers+i/chunk*4)) {
			return at, false
		}
		if at+shortestName > t.markers {
			return at, false
		}
		size := int(t.b[at])
		at++
		if size&0x80 != 0 {
			size = size&0x7f | int(t.b[at])<<7
			at++
		}
		if size == 0 || size > t.markers-at {
			return at, false
		}
		if visit != nil && !visit(i, t.b[at:at+size]) {
			break
		}
		at += size
	}
	return at, true
}

func u16(b []byte, off int) int    { return int(binary.LittleEndian.Uint16(b[off:])) }
func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
func u64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

func alignUp(n, to int) int { return (n + to - 1) &^ (to - 1) }
