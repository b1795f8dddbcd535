// Package ksymtab reads a kernel's lists of exported symbols: __ksymtab, and
// __ksymtab_gpl after it, which 7.x lacks. Each entry is three 32-bit offsets, each
// relative to its own address: of the symbol, of its name and of the name of its
// namespace.
// With CONFIG_MODVERSIONS the lists __kcrctab and __kcrctab_gpl follow, a word for
// each entry (include/asm-generic/vmlinux.lds.h); a symbol may give its address.
package ksymtab

import (
	"bytes"
	"encoding/binary"

	"callops/kernelimage/internal/elffile"
)

// Sizes in bytes, of an entry and of its CRC.
const (
	Size    = 12
	CRCSize = 4
)

const (
	nameAt  = 4
	spaceAt = 8

	fewest = 64 // a shorter run of what looks like entries is none
)

// Entry is an entry's three addresses.
type Entry struct {
	Addr  uint64
	Name  uint64
	Space uint64 // 0: none
}

// Decode reads the entry at the start of b, which is at addr. b has Size bytes at
// least.
func Decode(b []byte, addr uint64) Entry {
	at := func(off int) uint64 {
		return addr + uint64(off) + uint64(int64(int32(binary.LittleEndian.Uint32(b[off:]))))
	}
	e := Entry{Addr: at(0), Name: at(nameAt)}
	if binary.LittleEndian.Uint32(b[spaceAt:]) != 0 {
		e.Space = at(spaceAt)
	}
	return e
}

// Memory is what a list is in.
type Memory interface {
	// Tail returns what is in memory from addr on; nil for nothing.
	Tail(addr uint64) []byte
	// Contains reports whether an address is the kernel's.
	Contains(addr uint64) bool
}

// Find finds the lists in b, which is at addr, by their shape: the longest run of
// entries that have a name. end is 0 where there is none.
func Find(m Memory, b []byte, addr uint64) (start, end uint64) {
	for phase := range uint64(Size / 4) { // entries are aligned to 4 bytes
		from := addr + 4*phase
		for at := from; ; at += Size {
			if off := at - addr; off+Size <= uint64(len(b)) && isEntry(m, Decode(b[off:], at)) {
				continue
			}
			if at-from > end-start {
				start, end = from, at
			}
			if from = at + Size; at-addr >= uint64(len(b)) {
				break
			}
		}
	}
	if end-start < fewest*Size {
		return 0, 0
	}
	return start, end
}

// isEntry reports whether an entry makes sense. The linker lets one name be the end
// of another.
func isEntry(m Memory, e Entry) bool {
	if !m.Contains(e.Addr) {
		return false
	}
	if name, ok := Text(m.Tail(e.Name)); !ok || len(name) < 2 || !isIdentifier(name) {
		return false
	}
	_, ok := Text(m.Tail(e.Space))
	return ok || e.Space == 0
}

func isIdentifier(name []byte) bool {
	for i, c := range name {
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '$') {
			return false
		}
	}
	return true
}

// Text returns the printable string at the start of b.
func Text(b []byte) ([]byte, bool) {
	n := bytes.IndexByte(b[:min(len(b), elffile.MaxName)], 0)
	if n < 0 {
		return nil, false
	}
	for _, c := range b[:n] {
		if c < ' ' || c > '~' {
			return nil, false
		}
	}
	return b[:n], true
}
