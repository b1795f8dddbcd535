package module

import (
	"encoding/binary"
	"slices"
	"strings"

	"callops/emu"
	"callops/kernelimage"
	"callops/kernelimage/internal/ksymtab"
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

// Exports returns what an image exports to modules, by name; with CRCs where
// its version magic tells versions (CONFIG_MODVERSIONS). An image that has no list is
// taken to export all its symbols but those whose name is there twice. It reads the
// lists anew for each call.
func Exports(img *kernelimage.Image, vermagic string) map[string]Export {
	exports := make(map[string]Export)
	m := memory{img}
	list := m.findKsymtab()
	b := m.Tail(list.Start)
	n := int(list.End-list.Start) / ksymtab.Size
	var crcs []byte
	if slices.Contains(strings.Fields(vermagic), "modversions") {
		at := list.End
		if i := slices.IndexFunc(img.Symbols, func(s kernelimage.Symbol) bool { return s.Name == "__start___kcrctab" }); i >= 0 {
			at = img.Symbols[i].Addr
		}
		if crcs = m.Tail(at); len(crcs) < n*ksymtab.CRCSize {
			crcs = nil
		}
	}
	for i := range n {
		k := ksymtab.Decode(b[i*ksymtab.Size:], list.Start+uint64(i*ksymtab.Size))
		name, _ := ksymtab.Text(m.Tail(k.Name))
		space, _ := ksymtab.Text(m.Tail(k.Space))
		e := Export{Addr: k.Addr, Namespace: string(space), Versioned: crcs != nil}
		if e.Versioned {
			e.CRC = binary.LittleEndian.Uint32(crcs[i*ksymtab.CRCSize:])
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

// memory is the memory of an image.
type memory struct{ *kernelimage.Image }

// Contains reports whether an address is the image's.
func (m memory) Contains(addr uint64) bool { return m.Bounds().Contains(addr) }

// findKsymtab finds the lists, of which the second follows the first, in a kernel's
// read-only data.
func (m memory) findKsymtab() (list kernelimage.Range) {
	if m.Linux == nil {
		return list
	}
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.Perm != emu.Read {
			continue
		}
		if start, end := ksymtab.Find(m, s.Data, s.Addr); end-start > list.End-list.Start {
			list = kernelimage.Range{Start: start, End: end}
		}
	}
	return list
}
