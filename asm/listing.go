package asm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Listing returns the program as text, one item a line: address, word, text.
// Symbols stand above their first item after a blank line, other labels without one.
func (p *Program) Listing() string {
	var out strings.Builder
	names := p.namesByOffset()
	sym := func(addr uint64) string { return p.symbolize(addr) }
	for _, it := range p.items {
		p.labelLines(&out, names, it.off)
		addr := p.Base + uint64(it.off)
		switch {
		case it.raw != nil:
			listBytes(&out, addr, it.raw)
		case it.kind == kindQuad:
			v := binary.LittleEndian.Uint64(p.Code[it.off:])
			fmt.Fprintf(&out, "%x:\t%016x\t.quad %#x%s\n", addr, v, v, angle(sym(v)))
		case it.kind == kindWord:
			w := binary.LittleEndian.Uint32(p.Code[it.off:])
			fmt.Fprintf(&out, "%x:\t%08x\t.word %#x\n", addr, w, w)
		default:
			w := binary.LittleEndian.Uint32(p.Code[it.off:])
			fmt.Fprintf(&out, "%x:\t%08x\t%s\n", addr, w, Disassemble(w, addr, sym))
		}
	}
	p.labelLines(&out, names, len(p.Code))
	return out.String()
}

type listed struct {
	name string
	sym  bool
}

// namesByOffset collects the labels to print; pool entries show their value.
func (p *Program) namesByOffset() map[int][]listed {
	names := map[int][]listed{}
	for _, l := range p.labels {
		if !l.bound || l.abs || l.isPool {
			continue
		}
		isSym := slices.ContainsFunc(p.Symbols, func(s Symbol) bool { return s.Name == l.name && s.Addr == p.addr(l) })
		names[l.off] = append(names[l.off], listed{l.name, isSym})
	}
	return names
}

func (p *Program) labelLines(out *strings.Builder, names map[int][]listed, off int) {
	for _, n := range names[off] {
		if n.sym && off > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(out, "%x <%s>:\n", p.Base+uint64(off), n.name)
	}
}

// listBytes prints eight bytes a line, and a run of zeros as one line.
func listBytes(out *strings.Builder, addr uint64, raw []byte) {
	if len(bytes.Trim(raw, "\x00")) == 0 {
		fmt.Fprintf(out, "%x:\t\t.zero %d\n", addr, len(raw))
		return
	}
	for chunk := range slices.Chunk(raw, 8) {
		parts := make([]string, len(chunk))
		for i, c := range chunk {
			parts[i] = fmt.Sprintf("%#02x", c)
		}
		fmt.Fprintf(out, "%x:\t\t.byte %s\n", addr, strings.Join(parts, ", "))
		addr += uint64(len(chunk))
	}
}

// symbolize names a label at addr, or else the symbol that addr lies in.
func (p *Program) symbolize(addr uint64) string {
	for _, l := range p.labels {
		if l.bound && !l.isPool && l.name != "" && p.addr(l) == addr {
			return l.name
		}
	}
	for _, s := range p.Symbols {
		if addr >= s.Addr && addr-s.Addr < s.Size {
			return fmt.Sprintf("%s+%#x", s.Name, addr-s.Addr)
		}
	}
	return ""
}

func angle(name string) string {
	if name == "" {
		return ""
	}
	return " <" + name + ">"
}
