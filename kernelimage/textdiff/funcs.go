package textdiff

import (
	"slices"
	"sort"

	"callops/asm"
	"callops/kernelimage"
)

// function is a piece of text from a symbol to the next one's code.
type function struct {
	name  string
	names []string // all that it has
	kernelimage.Range
}

func (f *function) size() uint64 { return f.End - f.Start }

// functions cuts the text at the symbols of functions, in address order. It asks isLabel
// whether the symbols of an address are labels in the function so far.
func (s *space) functions(isLabel func(last *function, group []kernelimage.Symbol, end uint64) bool) []function {
	entries := make(map[uint64]uint64) // of call sites, by their function
	for _, site := range s.img.Sites() {
		entries[site.Func()] = site.Entry
	}
	var funcs []function
	for i := 0; i < len(s.syms); {
		group := s.at(s.syms[i].Addr)
		i += len(group)
		addr := group[0].Addr
		if !s.inText(addr) || !slices.ContainsFunc(group, func(sym kernelimage.Symbol) bool { return sym.Func }) {
			continue
		}
		entry, site := entries[addr]
		end := addr
		if site {
			end = min(entry, addr)
		}
		if n := len(funcs); n > 0 && funcs[n-1].End > end {
			if last := &funcs[n-1]; !site && isLabel(last, group, end) {
				continue
			}
			funcs[n-1].End = end
		}
		f := function{name: preferred(group), Range: kernelimage.Range{Start: addr, End: s.textEnd(addr)}}
		for _, sym := range group {
			f.names = append(f.names, sym.Name)
		}
		funcs = append(funcs, f)
	}
	for i := range funcs {
		funcs[i].End = s.trim(funcs[i].Start, funcs[i].End)
	}
	return funcs
}

// labels adds the names of those symbols that execution comes to from the code in front
// of them: entry-ftrace.S has some in its functions.
func (s *space) labels(names map[string]bool) {
	s.functions(func(last *function, group []kernelimage.Symbol, end uint64) bool {
		if !s.fallsThrough(last.Start, end) {
			return false
		}
		for _, sym := range group {
			names[sym.Name] = true
		}
		return true
	})
}

func (s *space) textEnd(addr uint64) uint64 {
	for _, r := range s.text {
		if r.Contains(addr) {
			return r.End
		}
	}
	return addr
}

// fallsThrough reports whether the code that starts at a function and ends at end goes
// on there.
func (s *space) fallsThrough(start, end uint64) bool {
	end = s.trim(max(start, end-min(end, mostFill)), end)
	w, ok := s.word(end - 4)
	return ok && end > start && !leaves(w) && !asm.IsBL(w)
}

// mostFill bounds what fills the room up to the next function, in bytes: no function is
// aligned to more.
const mostFill = 64

// trim returns the end without what fills the room up to the next function.
func (s *space) trim(start, end uint64) uint64 {
	end &^= 3
	for end > start {
		w, ok := s.word(end - 4)
		if ok && w != 0 && !asm.IsNop(w) {
			break
		}
		end -= 4
	}
	return end
}

// leaves reports whether nothing is executed after the instruction: a branch that is
// always taken, or a trap.
func leaves(w uint32) bool {
	if asm.IsB(w) {
		return true
	}
	if b, ok := asm.DecodeBranchReg(w); ok {
		return !b.Link
	}
	_, trap := asm.DecodeBrk(w)
	return trap || w&0xfe1ff000 == 0xd61f0000 && w>>21&3 != 1 || w>>16 == 0 // braa, retaa, eret; udf
}

// funcAt is the index of the function that an address is in.
func funcAt(funcs []function, addr uint64) (int, bool) {
	i := sort.Search(len(funcs), func(i int) bool { return funcs[i].Start > addr }) - 1
	return i, i >= 0 && funcs[i].Contains(addr)
}
