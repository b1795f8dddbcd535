package asm

import (
	"cmp"
	"fmt"
	"slices"
)

// Program is code and data linked at an address.
type Program struct {
	Base    uint64
	Code    []byte
	Symbols []Symbol // by address

	owner  *Builder
	labels []label // as they were when assembled
	items  []item
}

// SymbolKind tells functions from data.
type SymbolKind uint8

const (
	Func SymbolKind = iota
	Object
)

func (k SymbolKind) String() string {
	switch k {
	case Func:
		return "func"
	case Object:
		return "object"
	}
	return fmt.Sprintf("SymbolKind(%d)", uint8(k))
}

// Symbol is a named range of a Program.
type Symbol struct {
	Name       string
	Addr, Size uint64
	Kind       SymbolKind
}

// Assemble places outstanding literals and links the program at base, which
// has to meet the largest alignment used. It can be called again for another
// base.
func (b *Builder) Assemble(base uint64) (*Program, error) {
	b.end()
	b.placePool(caller())
	if b.err != nil {
		return nil, b.err
	}
	if base%uint64(b.align) != 0 {
		return nil, at(caller(), fmt.Errorf("base %#x: program is aligned to %d: %w", base, b.align, ErrMisaligned))
	}
	p := &Program{
		Base: base, Code: make([]byte, b.size), owner: b,
		labels: slices.Clone(b.labels), items: b.items[:len(b.items):len(b.items)],
	}
	for _, it := range p.items {
		if err := p.link(it); err != nil {
			return nil, at(it.pc, err)
		}
	}
	for _, s := range b.syms {
		l := b.labels[s.label.n]
		p.Symbols = append(p.Symbols, Symbol{
			Name: l.name, Addr: base + uint64(l.off), Size: uint64(s.end - l.off), Kind: s.kind,
		})
	}
	slices.SortStableFunc(p.Symbols, func(x, y Symbol) int { return cmp.Compare(x.Addr, y.Addr) })
	return p, nil
}

func (p *Program) link(it item) error {
	if it.raw != nil {
		copy(p.Code[it.off:], it.raw)
		return nil
	}
	var target uint64
	if it.fix != fixNone {
		l := p.labels[it.label.n]
		if !l.bound {
			return fmt.Errorf("%s: %v is not bound: %w", it.op, it.label, ErrLabel)
		}
		target = p.addr(l)
	}
	bits, err := it.resolve(p.Base+uint64(it.off), target)
	if err != nil {
		return fmt.Errorf("%v: %w", it.label, err)
	}
	it.put(p.Code[it.off:], bits)
	return nil
}

func (p *Program) addr(l label) uint64 {
	if l.abs {
		return l.addr
	}
	return p.Base + uint64(l.off)
}

// Addr returns the address of the symbol, or else of the only bound label, of
// that name.
func (p *Program) Addr(name string) (uint64, bool) {
	for _, s := range p.Symbols {
		if s.Name == name {
			return s.Addr, true
		}
	}
	var addr uint64
	found := 0
	for _, l := range p.labels {
		if l.name == name && l.bound {
			addr = p.addr(l)
			found++
		}
	}
	if found != 1 {
		return 0, false
	}
	return addr, true
}

// AddrOf returns the address of a bound label of the Builder that made p.
func (p *Program) AddrOf(l Label) (uint64, bool) {
	if l.b != p.owner || l.n >= len(p.labels) || !p.labels[l.n].bound {
		return 0, false
	}
	return p.addr(p.labels[l.n]), true
}
