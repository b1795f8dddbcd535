// Package btfsection finds BTF in a file without a section table or symbols for it, and
// counts its types before they are read (include/uapi/linux/btf.h).
package btfsection

import (
	"bytes"
	"encoding/binary"
)

// Magic begins a section: a magic number, the version, and no flags. The length
// of the header follows: later versions of the same format add fields.
const Magic = "\x9f\xeb\x01\x00"

const (
	minHeader    = 24
	layoutHeader = 32
	maxHeader    = 4096
)

// header is the header of a section. Offsets are from its end on.
type header struct {
	size           uint64
	types, strings span
	layout         span // how to skip types of an unknown kind, since 7.1; empty where the header has no such field
}

type span struct{ start, end uint64 }

// headerOf reads the header at the start of b. It reports whether there is one,
// and b holds all that it tells.
func headerOf(b []byte) (h header, ok bool) {
	if len(b) < minHeader || !bytes.HasPrefix(b, []byte(Magic)) {
		return h, false
	}
	at := func(off int) span {
		start := u32(b, off)
		return span{start, start + u32(b, off+4)}
	}
	h = header{size: u32(b, 4), types: at(8), strings: at(16)}
	if h.size < minHeader || h.size > maxHeader || h.size > uint64(len(b)) {
		return h, false
	}
	if h.size >= layoutHeader {
		h.layout = at(24)
	}
	return h, h.end() <= uint64(len(b))
}

// end is where the section ends.
func (h header) end() uint64 { return h.size + max(h.types.end, h.strings.end, h.layout.end) }

// plausible reports whether b, which begins with h, is a section as tools write
// them: types first, and strings that begin and end with NUL.
func (h header) plausible(b []byte) bool {
	return h.types.start == 0 && h.types.end <= h.strings.start && h.strings.start < h.strings.end &&
		b[h.size+h.strings.start] == 0 && b[h.size+h.strings.end-1] == 0
}

// Find finds the largest section in b by its header, and where it begins.
func Find(b []byte) (section []byte, at int) {
	for from := 0; ; from += len(Magic) {
		i := bytes.Index(b[from:], []byte(Magic))
		if i < 0 {
			return section, at
		}
		from += i
		h, ok := headerOf(b[from:])
		if end := h.end(); ok && end > uint64(len(section)) && h.plausible(b[from:]) {
			section, at = b[from:from+int(end):from+int(end)], from
		}
	}
}

// CountTypes counts the types of a section; ok is false where it is none of
// version 1, little-endian and whole. What follows a type of an unknown kind does
// not count: there a reader stops.
func CountTypes(section []byte) (n int, ok bool) {
	h, ok := headerOf(section)
	if !ok {
		return 0, false
	}
	types := section[h.size+h.types.start : h.size+h.types.end]
	for len(types) >= fixed {
		size, _ := sizeOfType(u32(types, 4))
		types = types[min(size, len(types)):]
		n++
	}
	return n, true
}

func u32(b []byte, off int) uint64 { return uint64(binary.LittleEndian.Uint32(b[off:])) }
