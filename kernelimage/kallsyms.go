package kernelimage

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// The kernel's embedded symbol table, as scripts/kallsyms.c writes it. Its
// parts have no header: they are found by their shapes.
//
//	until 6.1          6.2, 6.3           from 6.4 on
//	addresses          addresses          num_syms
//	num_syms           num_syms           names
//	names              names              markers
//	markers            markers            token_table
//	token_table        seqs_of_names      token_index
//	token_index        token_table        addresses
//	                   token_index        seqs_of_names
//
// addresses is kallsyms_offsets and kallsyms_relative_base, or, where the
// kernel was built without KALLSYMS_BASE_RELATIVE, kallsyms_addresses. Each part
// is aligned to 8 bytes.
const (
	kallsymsAlign   = 8
	kallsymsTokens  = 256
	kallsymsChunk   = 256     // a marker stands for so many symbols
	maxKallsyms     = 1 << 22 // Linux's own limit is that seqs_of_names has 3 bytes for each number
	maxKallsymsText = 256 << 20
	maxTokenTable   = 1 << 14 // bytes of 256 tokens, which are parts of names
	maxTokenTables  = 16      // so many that look like one are followed up

	shortestName = 2          // a length and one token
	longestName  = 2 + 0x3fff // two bytes of length and all that they can say
)

// kallsymsForm is how addresses are told.
type kallsymsForm uint8

const (
	formRelative kallsymsForm = iota // 32-bit offsets from the base
	formPerCPU                       // KALLSYMS_ABSOLUTE_PERCPU: base-1-offset where negative, else absolute
	formAbsolute                     // 64-bit addresses
)

func (f kallsymsForm) String() string {
	return [...]string{"base-relative", "base-relative, absolute per-CPU", "absolute"}[f]
}

// kallsyms is the table located; offsets are in the file.
type kallsyms struct {
	b          []byte // the whole file
	rela       relaTable
	n          int // symbols
	names      int
	markers    int
	tokenTable int
	tokenIndex int
	addresses  int // kallsyms_offsets or kallsyms_addresses
	base       int // kallsyms_relative_base; 0: none
	seqs       int // kallsyms_seqs_of_names; 0: none
	form       kallsymsForm

	tokens [kallsymsTokens]string
}

// describe says which of the layouts it is.
func (k *kallsyms) describe() string {
	s := k.form.String()
	if k.seqs != 0 {
		s += ", seqs_of_names"
	}
	if k.addresses > k.tokenIndex {
		return s + ", addresses last"
	}
	return s + ", addresses first"
}

func u32At(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
func u64At(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

func alignUp(n, to int) int { return (n + to - 1) &^ (to - 1) }

// findKallsyms locates the table in a kernel's raw Image: its token index is
// 256 ascending offsets of strings that end where it begins, and the other
// parts follow from there. Of several that hold together none is taken.
func findKallsyms(b []byte, rela relaTable) (*kallsyms, error) {
	var found *kallsyms
	tries := 0
	for at := kallsymsAlign; at+2*kallsymsTokens <= len(b); at += kallsymsAlign {
		if b[at] != 0 || b[at+1] != 0 || b[at+2] < 1 || b[at+3] != 0 { // the offsets 0 and, behind a short string, the next
			continue
		}
		k := &kallsyms{b: b, rela: rela, tokenIndex: at}
		if !k.findTokens() {
			continue
		}
		if tries++; tries > maxTokenTables {
			break
		}
		if !k.findNames() || !k.findAddresses() {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("two symbol tables, with token indexes at %#x and %#x of the file: %w", found.tokenIndex, at, unix.ENOEXEC)
		}
		found = k
	}
	if found == nil {
		return nil, fmt.Errorf("no embedded symbol table (kallsyms) found: %w", unix.ENOEXEC)
	}
	return found, nil
}

// findTokens checks that the strings of the index precede it.
func (k *kallsyms) findTokens() bool {
	index := func(i int) int { return int(binary.LittleEndian.Uint16(k.b[k.tokenIndex+2*i:])) }
	for i := 1; i < kallsymsTokens; i++ {
		if index(i) <= index(i-1) || index(i) > maxTokenTable {
			return false
		}
	}
	// The last string ends before the index, with at most 7 bytes of padding.
	end := k.tokenIndex
	for end > 0 && k.b[end-1] == 0 {
		end--
	}
	if pad := k.tokenIndex - end; pad < 1 || pad > kallsymsAlign {
		return false
	}
	last := bytes.LastIndexByte(k.b[:end], 0) + 1
	k.tokenTable = last - index(kallsymsTokens-1)
	if k.tokenTable <= 0 || k.tokenTable%kallsymsAlign != 0 {
		return false
	}
	table := string(k.b[k.tokenTable:end])
	for i := range k.tokens {
		stop := len(table)
		if i < kallsymsTokens-1 {
			if stop = index(i+1) - 1; table[stop] != 0 {
				return false
			}
		}
		if k.tokens[i] = table[index(i):stop]; len(k.tokens[i]) > maxNameLen {
			return false
		}
	}
	return true
}

// findNames looks for markers in front of the token table, with or without
// seqs_of_names between, and for names in front of those.
func (k *kallsyms) findNames() bool {
	for at := k.tokenTable - kallsymsAlign; at >= kallsymsAlign && k.tokenTable-at <= 4*maxKallsyms; at -= kallsymsAlign {
		if u32At(k.b, at) != 0 {
			continue
		}
		gap := k.tokenTable - at
		// How many markers there would be without seqs_of_names, a word of
		// padding more or less; and with it.
		for _, m := range []int{gap / 4, gap/4 - 1} {
			if m >= 1 && k.markersAt(at, m) && k.namesBefore(at, m, 0) {
				return true
			}
		}
		most := gap * kallsymsChunk / (3*kallsymsChunk + 4) // symbols
		m := max(1, most/kallsymsChunk)
		for ; m <= most/kallsymsChunk+1; m++ {
			seqs := alignUp(at+4*m, kallsymsAlign)
			if k.markersAt(at, m) && k.namesBefore(at, m, seqs) {
				return true
			}
		}
	}
	return false
}

// markersAt checks that m ascending offsets of chunks of names are there.
func (k *kallsyms) markersAt(at, m int) bool {
	if at+4*m > k.tokenTable {
		return false
	}
	for i := 1; i < m; i++ {
		d := int64(u32At(k.b, at+4*i)) - int64(u32At(k.b, at+4*i-4))
		if d < shortestName*kallsymsChunk || d > longestName*kallsymsChunk {
			return false
		}
	}
	return true
}

// namesBefore looks for the names that m markers at the given place are of, and
// whose number stands in front of them.
func (k *kallsyms) namesBefore(markers, m, seqs int) bool {
	lastChunk := int(u32At(k.b, markers+4*(m-1)))
	lowest := max(kallsymsAlign, markers-lastChunk-kallsymsChunk*maxNameLen)
	for at := markers - lastChunk - 2; at >= lowest; at-- {
		if at%kallsymsAlign != 0 {
			continue
		}
		n := int(u32At(k.b, at-kallsymsAlign))
		if n == 0 || (n+kallsymsChunk-1)/kallsymsChunk != m || u32At(k.b, at-kallsymsAlign+4) != 0 ||
			seqs != 0 && alignUp(seqs+3*n, kallsymsAlign) != k.tokenTable ||
			seqs == 0 && alignUp(markers+4*m, kallsymsAlign) != k.tokenTable {
			continue
		}
		k.n, k.names, k.markers, k.seqs = n, at, markers, seqs
		if end, ok := k.walk(nil); ok && alignUp(end, kallsymsAlign) == markers {
			return true
		}
	}
	return false
}

// walk goes through the compressed names, which must be where the markers say,
// and returns where they end. visit gets each, if it is not nil.
func (k *kallsyms) walk(visit func(i int, tokens []byte)) (end int, ok bool) {
	at := k.names
	for i := range k.n {
		if i%kallsymsChunk == 0 && at-k.names != int(u32At(k.b, k.markers+i/kallsymsChunk*4)) {
			return 0, false
		}
		if at+2 > k.markers {
			return 0, false
		}
		size := int(k.b[at])
		at++
		if size&0x80 != 0 {
			size = size&0x7f | int(k.b[at])<<7
			at++
		}
		if size == 0 || size > k.markers-at {
			return 0, false
		}
		if visit != nil {
			visit(i, k.b[at:at+size])
		}
		at += size
	}
	return at, true
}

// findAddresses tries each place and form that addresses may have; the right
// one makes them ascend, as the table is sorted.
func (k *kallsyms) findAddresses() bool {
	behind := k.tokenIndex + 2*kallsymsTokens
	number := k.names - kallsymsAlign
	for _, c := range []struct {
		addresses, base int
	}{
		{behind, alignUp(behind+4*k.n, kallsymsAlign)},
		{number - kallsymsAlign - alignUp(4*k.n, kallsymsAlign), number - kallsymsAlign},
	} {
		if c.addresses < 0 || c.base+8 > len(k.b) {
			continue
		}
		for _, form := range []kallsymsForm{formRelative, formPerCPU} {
			if k.ascends(c.addresses, form) {
				k.addresses, k.base, k.form = c.addresses, c.base, form
				if seqs := c.base + 8; c.addresses == behind && k.seqs == 0 && k.isSeqs(seqs) {
					k.seqs = seqs
				}
				return true
			}
		}
	}
	for _, at := range []int{behind, number - 8*k.n} {
		if at >= 0 && at+8*k.n <= len(k.b) && k.ascends(at, formAbsolute) && (u64At(k.b, at) != 0 || k.relocated(at)) {
			k.addresses, k.form = at, formAbsolute
			return true
		}
	}
	return false
}

// relocated reports whether relocations fill all addresses at the given place.
// The link address is not known yet, only what it is a multiple of.
func (k *kallsyms) relocated(at int) bool {
	want := uint64(at) + u64At(k.b, rawTextOff)
	filled := 0
	for i := range k.rela.n {
		addr, _ := k.rela.entry(k.b, i)
		if off := (addr - want) % rawAlign; off%8 == 0 && off < 8*uint64(k.n) {
			filled++
		}
	}
	return filled >= k.n
}

// ascends checks the order of the addresses. Absolute ones that the kernel
// would relocate are zero in the file, which is an order too.
func (k *kallsyms) ascends(at int, form kallsymsForm) bool {
	if form == formAbsolute {
		for i := 1; i < k.n; i++ {
			if u64At(k.b, at+8*i) < u64At(k.b, at+8*i-8) {
				return false
			}
		}
		return true
	}
	last := uint64(0)
	for i := range k.n {
		v := relativeAddr(u32At(k.b, at+4*i), 1<<63, form)
		if v < last {
			return false
		}
		last = v
	}
	// All the same is no table of addresses.
	return k.n == 1 || u32At(k.b, at) != u32At(k.b, at+4*k.n-4)
}

func relativeAddr(off uint32, base uint64, form kallsymsForm) uint64 {
	switch {
	case form == formRelative:
		return base + uint64(off)
	case int32(off) < 0:
		return base - 1 - uint64(int64(int32(off)))
	}
	return uint64(off)
}

// isSeqs reports whether n three-byte numbers are there that are all of 0 to n-1.
func (k *kallsyms) isSeqs(at int) bool {
	if 3*k.n > len(k.b)-at {
		return false
	}
	seen := make([]bool, k.n)
	for i := range k.n {
		s := k.b[at+3*i:]
		seq := int(s[0])<<16 | int(s[1])<<8 | int(s[2])
		if seq >= k.n || seen[seq] {
			return false
		}
		seen[seq] = true
	}
	return true
}

// symbols decodes the table. Names are parts of one string. value reads a word
// of the file as it is after relocation.
func (k *kallsyms) symbols(value func(off int) uint64) ([]Symbol, error) {
	size := 0
	k.walk(func(_ int, tokens []byte) {
		for _, t := range tokens {
			size += len(k.tokens[t])
		}
	})
	if size > maxKallsymsText || size > unpackFactor*len(k.b) {
		return nil, fmt.Errorf("kallsyms names at %#x of the file: %#x bytes: %w", k.names, size, unix.ENOEXEC)
	}
	all := make([]byte, 0, size)
	ends := make([]int32, k.n)
	k.walk(func(i int, tokens []byte) {
		for _, t := range tokens {
			all = append(all, k.tokens[t]...)
		}
		ends[i] = int32(len(all))
	})
	names, start := string(all), int32(0)
	base := uint64(0)
	if k.base != 0 {
		base = value(k.base)
	}
	syms := make([]Symbol, 0, k.n)
	for i := range k.n {
		name := names[start:ends[i]]
		start = ends[i]
		if len(name) < 2 || len(name) > maxNameLen {
			return nil, fmt.Errorf("kallsyms names at %#x of the file: number %d has %d letters: %w", k.names, i, len(name), unix.ENOEXEC)
		}
		syms = append(syms, Symbol{Name: name[1:], Type: name[0], Addr: k.addr(i, base, value)})
	}
	return syms, nil
}

func (k *kallsyms) addr(i int, base uint64, value func(off int) uint64) uint64 {
	if k.form == formAbsolute {
		return value(k.addresses + 8*i)
	}
	return relativeAddr(u32At(k.b, k.addresses+4*i), base, k.form)
}

// find returns the index of the symbol of that name.
func (k *kallsyms) find(name string) (int, bool) {
	found := -1
	k.walk(func(i int, tokens []byte) {
		if found >= 0 {
			return
		}
		rest, skipped := name, false
		for _, t := range tokens {
			tok := k.tokens[t]
			if !skipped && tok != "" {
				tok, skipped = tok[1:], true // the type
			}
			if len(tok) > len(rest) || rest[:len(tok)] != tok {
				return
			}
			rest = rest[len(tok):]
		}
		if rest == "" {
			found = i
		}
	})
	return found, found >= 0
}
