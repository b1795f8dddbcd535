package kernelimage

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"callops/emu"
	"callops/kernelimage/internal/elffile"
)

// The kernel's lists of what modules may use: __ksymtab, and __ksymtab_gpl
// after it, which 7.x has not. Each entry is three 32-bit offsets from their own
// places: of the symbol, of its name and of the name of its namespace. With
// CONFIG_MODVERSIONS the lists __kcrctab and __kcrctab_gpl follow, a word for each
// entry (include/asm-generic/vmlinux.lds.h); a symbol may say where.
const (
	ksymSize    = 12
	ksymNameAt  = 4
	ksymSpaceAt = 8
	fewestKsyms = 64 // a shorter run of what looks like entries is none
	crcSize     = 4
)

// Export is a symbol that modules may use.
type Export struct {
	Addr      uint64
	Module    string // that exports it; "": the kernel
	Namespace string // "": none
	CRC       uint32 // of its declaration, as genksyms has it
	Versioned bool   // there is a CRC
}

func (e Export) ownerName() string {
	if e.Module == "" {
		return "the kernel"
	}
	return e.Module
}

// Exports returns what the image exports to modules, by name; with CRCs where
// versions (CONFIG_MODVERSIONS) are told by its version magic. An image that has
// no list is taken to export all its symbols but those whose name is there
// twice. It reads the lists anew for each call.
func (img *Image) Exports(vermagic string) map[string]Export {
	exports := make(map[string]Export)
	list := img.findKsymtab()
	var crcs []byte
	if slices.Contains(strings.Fields(vermagic), "modversions") {
		at := list.End
		if s, ok := img.symbol("__start___kcrctab"); ok {
			at = s.Addr
		}
		crcs, _ = img.read(at, (list.End-list.Start)/ksymSize*crcSize)
	}
	for i, addr := 0, list.Start; addr < list.End; i, addr = i+1, addr+ksymSize {
		b, _ := img.read(addr, ksymSize)
		name, _ := img.identifier(relative(b, addr, ksymNameAt))
		space, _ := img.text(relative(b, addr, ksymSpaceAt))
		e := Export{Addr: relative(b, addr, 0), Namespace: string(space), Versioned: crcs != nil}
		if e.Versioned {
			e.CRC = u32At(crcs, crcSize*i)
		}
		exports[string(name)] = e
	}
	if len(exports) > 0 {
		return exports
	}
	twice := make(map[string]bool)
	for _, s := range img.Symbols {
		if e, ok := exports[s.Name]; ok && e.Addr != s.Addr {
			twice[s.Name] = true
		}
		exports[s.Name] = Export{Addr: s.Addr}
	}
	for name := range twice {
		delete(exports, name)
	}
	return exports
}

// findKsymtab finds the lists, of which the second follows the first, by their
// shape: the longest run of entries that have a name.
func (img *Image) findKsymtab() (list Range) {
	if img.Linux == nil {
		return list
	}
	for i := range img.Segments {
		s := &img.Segments[i]
		if s.Perm != emu.Read {
			continue
		}
		for phase := range uint64(ksymSize / 4) { // entries are aligned to 4 bytes
			start := s.Addr + 4*phase
			for addr := start; ; addr += ksymSize {
				if img.isKsym(addr) {
					continue
				}
				if addr-start > list.End-list.Start {
					list = Range{start, addr}
				}
				if start = addr + ksymSize; addr-s.Addr >= uint64(len(s.Data)) {
					break
				}
			}
		}
	}
	if list.End-list.Start < fewestKsyms*ksymSize {
		return Range{}
	}
	return list
}

// isKsym reports whether an entry is at addr. The linker lets one name be the
// end of another.
func (img *Image) isKsym(addr uint64) bool {
	b, ok := img.read(addr, ksymSize)
	if !ok || !img.Bounds().Contains(relative(b, addr, 0)) {
		return false
	}
	if name, ok := img.identifier(relative(b, addr, ksymNameAt)); !ok || len(name) < 2 {
		return false
	}
	_, ok = img.text(relative(b, addr, ksymSpaceAt))
	return ok || u32At(b, ksymSpaceAt) == 0
}

// relative returns the address that the 32-bit offset at b[at:] means, where b
// is at addr.
func relative(b []byte, addr uint64, at int) uint64 {
	return addr + uint64(at) + uint64(int64(int32(binary.LittleEndian.Uint32(b[at:]))))
}

// identifier returns the name at addr, which may be empty.
func (img *Image) identifier(addr uint64) ([]byte, bool) {
	name, ok := img.text(addr)
	for i, c := range name {
		if !isNameStart(c) && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '$') {
			return nil, false
		}
	}
	return name, ok
}

// text returns the printable string at addr.
func (img *Image) text(addr uint64) ([]byte, bool) {
	b := img.Tail(addr)
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

func isNameStart(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
