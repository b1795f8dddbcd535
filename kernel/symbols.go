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
	mu     sync.RWMutex
	syms   []kernelimage.Symbol // by address; at the same address in the order they were added
	names  *nameIndex           // of syms; nil: to be made anew
	ranges []moduleRange        // by address
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

// Add adds symbols. One that is there already is not added twice. Their names
// go to terminals: what is not printable in them is escaped here, for all.
func (s *Symbols) Add(syms ...kernelimage.Symbol) {
	syms = withPrintableNames(syms)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = nil
	if len(syms) > fewSymbols {
		syms = slices.Clone(syms)
		slices.SortStableFunc(syms, func(a, b kernelimage.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
		syms = dropRepeated(syms)
		first, last := syms[0].Addr, syms[len(syms)-1].Addr
		if at := s.after(last); at == 0 || s.syms[at-1].Addr < first {
			s.syms = slices.Insert(s.syms, at, syms...) // a module's
			return
		}
		s.syms = append(s.syms, syms...)
		slices.SortStableFunc(s.syms, func(a, b kernelimage.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
		s.syms = dropRepeated(s.syms)
		return
	}
	for _, sym := range syms {
		at := s.after(sym.Addr)
		if !slices.Contains(s.syms[s.firstAt(sym.Addr, at):at], sym) {
			s.syms = slices.Insert(s.syms, at, sym)
		}
	}
}

// withPrintableNames returns syms, or a copy where a name was escaped.
func withPrintableNames(syms []kernelimage.Symbol) []kernelimage.Symbol {
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

// dropRepeated removes what is there twice from symbols in address order.
func dropRepeated(syms []kernelimage.Symbol) []kernelimage.Symbol {
	kept := syms[:0]
	run := 0 // where the symbols at the last address begin
	var many map[kernelimage.Symbol]bool
	for _, sym := range syms {
		if len(kept) == 0 || kept[len(kept)-1].Addr != sym.Addr {
			run, many = len(kept), nil
		}
		if have := kept[run:]; many == nil && len(have) > fewSymbols {
			many = make(map[kernelimage.Symbol]bool)
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

// after returns the index of the first symbol above addr.
func (s *Symbols) after(addr uint64) int {
	return sort.Search(len(s.syms), func(i int) bool { return s.syms[i].Addr > addr })
}

// firstAt returns the index of the first symbol at addr, given after(addr).
func (s *Symbols) firstAt(addr uint64, after int) int {
	return sort.Search(after, func(i int) bool { return s.syms[i].Addr >= addr })
}

// called returns the symbols of that name, in address order.
func (s *Symbols) called(name string) []kernelimage.Symbol {
	if s.names == nil {
		s.names = newNameIndex(s.syms)
	}
	return s.names.called(s.syms, name)
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
	s.names = nil
	s.syms = slices.DeleteFunc(s.syms, gone)
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
	return slices.Clone(s.syms)
}

// Lookup returns the symbol called name; "module:name" is one of a module
// (kernel/module/kallsyms.c: module_kallsyms_lookup_name), "name@0xaddr" the one of
// several that is at an address, and "0xaddr" whichever begins there. An unknown
// name is ENOENT. A name that several symbols have is EINVAL, with their
// addresses: which one is meant cannot be guessed.
func (s *Symbols) Lookup(name string) (kernelimage.Symbol, error) {
	s.mu.Lock() // called may make the index
	defer s.mu.Unlock()
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
		after := s.after(addr)
		return slices.Clone(s.syms[s.firstAt(addr, after):after][:min(after-s.firstAt(addr, after), 1)])
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
// several symbols at one address it is the first, as in kallsyms. The symbol's
// Size is the distance to the next one, which may be more than the function's
// own: kallsyms knows no other.
func (s *Symbols) At(addr uint64) (sym kernelimage.Symbol, off uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	next := s.after(addr)
	if next == 0 {
		return kernelimage.Symbol{}, 0, false
	}
	sym = s.syms[s.firstAt(s.syms[next-1].Addr, next)]
	end, ok := s.end(sym, next)
	if !ok || addr >= end {
		return kernelimage.Symbol{}, 0, false
	}
	sym.Size = end - sym.Addr
	return sym, addr - sym.Addr, true
}

// end returns where sym ends, given the index of the next symbol.
func (s *Symbols) end(sym kernelimage.Symbol, next int) (uint64, bool) {
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].Start > sym.Addr }) - 1
	inRange := i >= 0 && s.ranges[i].Contains(sym.Addr)
	switch {
	case inRange && next < len(s.syms):
		return min(s.syms[next].Addr, s.ranges[i].End), true
	case inRange:
		return s.ranges[i].End, true
	case sym.Size != 0:
		return sym.Addr + sym.Size, true
	case next < len(s.syms):
		return s.syms[next].Addr, true
	}
	return 0, false
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
