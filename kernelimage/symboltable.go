package kernelimage

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"sync"

	"callops/internal/text"
)

// SymbolTable finds symbols by address and by name. It never changes, so that all
// kernels of an image share one. nil is an empty table.
//
// Names go to terminals: what is not printable in them is escaped.
type SymbolTable struct {
	syms  []Symbol // by address; at the same address in the order they were added
	names func() *nameIndex
}

// SymbolTable is the table of the image's symbols, each once.
func (img *Image) SymbolTable() *SymbolTable {
	img.tableOnce.Do(func() {
		if img.tidy {
			img.table = newSymbolTable(dropRepeated(slices.Clone(img.symbols)))
		} else {
			img.table = (*SymbolTable)(nil).With(img.symbols...)
		}
	})
	return img.table
}

func newSymbolTable(syms []Symbol) *SymbolTable {
	return &SymbolTable{syms, sync.OnceValue(func() *nameIndex { return newNameIndex(syms) })}
}

// list is what the table consists of.
func (t *SymbolTable) list() []Symbol {
	if t == nil {
		return nil
	}
	return t.syms
}

// With returns a table with more symbols. One that is there already is not added twice.
func (t *SymbolTable) With(syms ...Symbol) *SymbolTable {
	syms = withPrintableNames(syms)
	have := t.list()
	if len(syms) > fewSymbols {
		syms = slices.Clone(syms)
		sortByAddr(syms)
		syms = dropRepeated(syms)
		first, last := syms[0].Addr, syms[len(syms)-1].Addr
		if at := t.After(last); at == 0 || have[at-1].Addr < first {
			return newSymbolTable(slices.Concat(have[:at], syms, have[at:])) // a module's
		}
		all := slices.Concat(have, syms)
		sortByAddr(all)
		return newSymbolTable(dropRepeated(all))
	}
	all := slices.Grow(slices.Clip(have), len(syms))
	for _, sym := range syms {
		next := &SymbolTable{syms: all}
		at := next.After(sym.Addr)
		if !slices.Contains(all[next.From(sym.Addr):at], sym) {
			all = slices.Insert(all, at, sym)
		}
	}
	return newSymbolTable(all)
}

// Without returns a table without some symbols.
func (t *SymbolTable) Without(gone func(s Symbol) bool) *SymbolTable {
	return newSymbolTable(slices.DeleteFunc(slices.Clone(t.list()), gone))
}

// Len is the number of symbols.
func (t *SymbolTable) Len() int { return len(t.list()) }

// At is the symbol of an index, in address order.
func (t *SymbolTable) At(i int) Symbol { return t.syms[i] }

// All are the symbols in address order; at the same address, in the order they were added.
func (t *SymbolTable) All() iter.Seq[Symbol] { return slices.Values(t.list()) }

// After returns the index of the first symbol above addr.
func (t *SymbolTable) After(addr uint64) int {
	syms := t.list()
	return sort.Search(len(syms), func(i int) bool { return syms[i].Addr > addr })
}

// From returns the index of the first symbol at or above addr.
func (t *SymbolTable) From(addr uint64) int {
	syms := t.list()
	return sort.Search(len(syms), func(i int) bool { return syms[i].Addr >= addr })
}

// Called returns the symbols of that name, in address order.
func (t *SymbolTable) Called(name string) []Symbol {
	if t.Len() == 0 {
		return nil
	}
	return t.names().called(t.syms, name)
}

// withPrintableNames returns syms, or a copy where a name was escaped.
func withPrintableNames(syms []Symbol) []Symbol {
	cloned := false
	for i := range syms {
		name := text.Printable(syms[i].Name)
		if name == syms[i].Name {
			continue
		}
		if !cloned {
			syms, cloned = slices.Clone(syms), true
		}
		syms[i].Name = name
	}
	return syms
}

// fewSymbols are put into their place one by one: a kernel's table is long,
// and sorting it for each object added would show.
const fewSymbols = 16

func sortByAddr(syms []Symbol) {
	slices.SortStableFunc(syms, func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
}

// dropRepeated removes what is there twice from symbols in address order.
func dropRepeated(syms []Symbol) []Symbol {
	kept := syms[:0]
	run := 0 // where the symbols at the last address begin
	var many map[Symbol]bool
	for _, sym := range syms {
		if len(kept) == 0 || kept[len(kept)-1].Addr != sym.Addr {
			run, many = len(kept), nil
		}
		if have := kept[run:]; many == nil && len(have) > fewSymbols {
			many = make(map[Symbol]bool)
			for _, s := range have {
				many[s] = true
			}
		}
		if many == nil && slices.Contains(kept[run:], sym) || many[sym] {
			continue
		}
		kept = append(kept, sym)
		if many != nil {
			many[sym] = true
		}
	}
	return kept
}
