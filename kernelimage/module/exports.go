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
	m, symbols := memoryOf(img), img.Symbols()
	list := m.findKsymtab()
	b := m.Tail(list.Start)
	n := int(list.End-list.Start) / ksymtab.Size
	var crcs []byte
	if slices.Contains(strings.Fields(vermagic), "modversions") {
		at := list.End
		if i := slices.IndexFunc(symbols, func(s kernelimage.Symbol) bool { return s.Name == "__start___kcrctab" }); i >= 0 {
			at = symbols[i].Addr
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
	for _, s := range symbols {
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

// memory is the read-only data of a kernel, which the lists and all that they name are
// in.
type memory struct {
	bounds   kernelimage.Range // of the kernel
	segments []readOnly
}

type readOnly struct {
	kernelimage.Range
	data []byte
}

// memoryOf copies the data; of an image that is none of a kernel, or closed, nothing.
func memoryOf(img *kernelimage.Image) memory {
	m := memory{bounds: img.Bounds()}
	if img.Linux() == nil {
		return m
	}
	for _, s := range img.Segments() {
		if s.Perm != emu.Read {
			continue
		}
		if b, err := s.Bytes(); err == nil {
			m.segments = append(m.segments, readOnly{kernelimage.Range{Start: s.Addr, End: s.Addr + uint64(len(b))}, b})
		}
	}
	return m
}

// Contains reports whether an address is the kernel's.
func (m memory) Contains(addr uint64) bool { return m.bounds.Contains(addr) }

// Tail returns what is in memory from addr on.
func (m memory) Tail(addr uint64) []byte {
	for i := range m.segments {
		if s := &m.segments[i]; s.Contains(addr) {
			return s.data[addr-s.Start:]
		}
	}
	return nil
}

// findKsymtab finds the lists, of which the second follows the first.
func (m memory) findKsymtab() (list kernelimage.Range) {
	for i := range m.segments {
		s := &m.segments[i]
		if start, end := ksymtab.Find(m, s.data, s.Start); end-start > list.End-list.Start {
			list = kernelimage.Range{Start: start, End: end}
		}
	}
	return list
}
