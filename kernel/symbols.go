package kernel

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"callops/internal/text"
	"callops/kernelimage"

	"callops/internal/errno"
)

// Symbols is the table of a running kernel: the image's symbols and its
// modules'. Methods may be called from any goroutine.
type Symbols struct {
	base *kernelimage.SymbolTable // of the image, which all its kernels share

	mu     sync.RWMutex
	added  *kernelimage.SymbolTable
	ranges []moduleRange // by address
}

// moduleRange is memory that belongs to the kernel or a module as a whole, so
// that its last symbol ends there.
type moduleRange struct {
	kernelimage.Range
	module string
}

// NewSymbols returns a table of syms.
func NewSymbols(syms ...kernelimage.Symbol) *Symbols {
	s := &Symbols{}
	s.Add(syms...)
	return s
}

// SymbolsOf returns a table of the image's symbols.
func SymbolsOf(img *kernelimage.Image) *Symbols { return &Symbols{base: img.SymbolTable()} }

// Add adds symbols. One that is there already is not added twice. Their names
// go to terminals: what is not printable in them is escaped.
func (s *Symbols) Add(syms ...kernelimage.Symbol) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = s.added.With(slices.DeleteFunc(slices.Clone(syms), s.inBase)...)
}

// inBase reports whether the image has the symbol, which a module's never is.
func (s *Symbols) inBase(sym kernelimage.Symbol) bool {
	if sym.Module != "" {
		return false
	}
	for i := s.base.From(sym.Addr); i < s.base.Len() && s.base.At(i).Addr == sym.Addr; i++ {
		if s.base.At(i) == sym {
			return true
		}
	}
	return false
}

// tables are those that the symbols are in. At the same address those of the first come first.
func (s *Symbols) tables() [2]*kernelimage.SymbolTable {
	return [2]*kernelimage.SymbolTable{s.base, s.added}
}

// called returns the symbols of that name, in address order.
func (s *Symbols) called(name string) (found []kernelimage.Symbol) {
	for _, t := range s.tables() {
		found = append(found, t.Called(name)...)
	}
	sortByAddr(found)
	return found
}

func sortByAddr(syms []kernelimage.Symbol) {
	slices.SortStableFunc(syms, func(a, b kernelimage.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
}

// AddRange says that [start, end) belongs to module ("": to the kernel): no
// symbol's size reaches over it, and an address in no range has no symbol
// unless a symbol's own Size covers it.
func (s *Symbols) AddRange(module string, start, end uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges = append(s.ranges, moduleRange{kernelimage.Range{Start: start, End: end}, module})
	slices.SortFunc(s.ranges, func(a, b moduleRange) int { return cmp.Compare(a.Start, b.Start) })
}

// Remove removes everything that belongs to a module.
func (s *Symbols) Remove(module string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := func(sym kernelimage.Symbol) bool { return sym.Module == module }
	s.added = s.added.Without(gone)
	s.ranges = slices.DeleteFunc(s.ranges, func(r moduleRange) bool { return r.module == module })
}

// hasModule reports whether anything belongs to a module of that name.
func (s *Symbols) hasModule(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.ranges, func(r moduleRange) bool { return r.module == name })
}

// All returns the symbols in address order.
func (s *Symbols) All() []kernelimage.Symbol {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := slices.AppendSeq(slices.Collect(s.base.All()), s.added.All())
	sortByAddr(all)
	return all
}

// Lookup returns the symbol called name; "module:name" is one of a module
// (kernel/module/kallsyms.c: module_kallsyms_lookup_name), "name@0xaddr" the one of
// several that is at an address, and "0xaddr" whichever begins there. An unknown
// name is ENOENT. A name that several symbols have is EINVAL, with their
// addresses: which one is meant cannot be guessed.
func (s *Symbols) Lookup(name string) (kernelimage.Symbol, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := s.called(name)
	if len(found) == 0 {
		found = s.qualified(name)
	}
	switch len(found) {
	case 0:
		return kernelimage.Symbol{}, fmt.Errorf("no symbol %q: %w", name, errno.ENOENT)
	case 1:
		return found[0], nil
	}
	where := make([]string, len(found))
	for i, sym := range found {
		where[i] = fmt.Sprintf("%s@%#x", name, sym.Addr)
		if sym.Module != "" {
			where[i] += " [" + sym.Module + "]"
		}
	}
	return kernelimage.Symbol{}, fmt.Errorf("symbol %q is ambiguous: it is one of %s: %w", name, text.SomeOf(where), errno.EINVAL)
}

// qualified returns the symbols that module:name, name@0xaddr or 0xaddr means.
func (s *Symbols) qualified(name string) []kernelimage.Symbol {
	if base, at, ok := strings.Cut(name, "@"); ok {
		addr, err := parseAddr(at)
		if err != nil {
			return nil
		}
		found := slices.DeleteFunc(s.called(base), func(sym kernelimage.Symbol) bool { return sym.Addr != addr })
		return found[:min(len(found), 1)]
	}
	if addr, err := parseAddr(name); err == nil {
		for _, t := range s.tables() {
			if i := t.From(addr); i < t.Len() && t.At(i).Addr == addr {
				return []kernelimage.Symbol{t.At(i)}
			}
		}
		return nil
	}
	module, rest, ok := strings.Cut(name, ":")
	if !ok || module == "" {
		return nil
	}
	return slices.DeleteFunc(s.called(rest), func(sym kernelimage.Symbol) bool { return sym.Module != module })
}

// parseAddr reads an address as it is printed.
func parseAddr(s string) (uint64, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(digits, 16, 64)
}

// At returns the symbol that addr belongs to and addr's offset in it. Of
// several symbols at one address it is the first, as in kallsyms, but a function
// that was placed where the image ends, and not the linker's _end. The symbol's
// Size is the distance to the next one, which may be more than the function's
// own: kallsyms knows no other.
func (s *Symbols) At(addr uint64) (sym kernelimage.Symbol, off uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var next uint64 // where another symbol begins; 0: nowhere
	for _, t := range s.tables() {
		i := t.After(addr)
		if i < t.Len() && (next == 0 || t.At(i).Addr < next) {
			next = t.At(i).Addr
		}
		if i == 0 {
			continue
		}
		first := t.At(t.From(t.At(i - 1).Addr))
		if !ok || first.Addr > sym.Addr || first.Addr == sym.Addr && first.Func && !sym.Func {
			sym, ok = first, true
		}
	}
	if !ok {
		return kernelimage.Symbol{}, 0, false
	}
	end, ok := s.end(sym, next)
	if !ok || addr >= end {
		return kernelimage.Symbol{}, 0, false
	}
	sym.Size = end - sym.Addr
	return sym, addr - sym.Addr, true
}

// end returns where sym ends, given where the next one begins, 0 if there is none.
func (s *Symbols) end(sym kernelimage.Symbol, next uint64) (uint64, bool) {
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].Start > sym.Addr }) - 1
	inRange := i >= 0 && s.ranges[i].Contains(sym.Addr)
	switch {
	case inRange && next != 0:
		return min(next, s.ranges[i].End), true
	case inRange:
		return s.ranges[i].End, true
	case sym.Size != 0:
		return sym.Addr + sym.Size, true
	}
	return next, next != 0
}

// Format writes addr as %pS does: name+0xoff/0xsize [module], and the bare
// address where it belongs to no symbol.
func (s *Symbols) Format(addr uint64) string {
	sym, off, ok := s.At(addr)
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	str := fmt.Sprintf("%s+%#x/%#x", sym.Name, off, sym.Size)
	if sym.Module != "" {
		str += " [" + sym.Module + "]"
	}
	return str
}

// FormatName returns the name and module that lists of functions show for
// addr (kernel/kallsyms.c: kallsyms_lookup).
func (s *Symbols) FormatName(addr uint64) (name, module string, ok bool) {
	sym, _, ok := s.At(addr)
	return sym.Name, sym.Module, ok
}

// Short writes addr as symbol+offset, as listings name a branch's target; "" where it has no name.
func (s *Symbols) Short(addr uint64) string {
	sym, off, ok := s.At(addr)
	switch {
	case !ok:
		return ""
	case off == 0:
		return sym.Name
	}
	return fmt.Sprintf("%s+%#x", sym.Name, off)
}
