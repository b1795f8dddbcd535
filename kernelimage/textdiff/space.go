package textdiff

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
)

// space is an image's memory, with the names of what lies in it.
type space struct {
	img   *kernelimage.Image
	parts []part
	text  []kernelimage.Range
	syms  []kernelimage.Symbol // in address order
	index map[string]int       // of the first symbol of a name

	// match is where objects without names are in the other kernel, see matchUnnamed;
	// nil: it is not known yet, and any may be the same.
	match map[uint64]uint64
}

// part is a segment's bytes.
type part struct {
	kernelimage.Range // with what is zero at the start
	data              []byte
	perm              emu.Perm
	named             bool // what is in it has symbols: objects have none without CONFIG_KALLSYMS_ALL
}

func newSpace(img *kernelimage.Image) (*space, error) {
	s := &space{img: img, text: img.Text(), syms: img.Symbols()}
	for _, seg := range img.Segments() {
		data, err := seg.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", img.Name(), err)
		}
		s.parts = append(s.parts, part{Range: kernelimage.Range{Start: seg.Addr, End: seg.End()}, data: data, perm: seg.Perm})
	}
	slices.SortStableFunc(s.syms, func(a, b kernelimage.Symbol) int {
		if a.Addr != b.Addr {
			if a.Addr < b.Addr {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	s.index = make(map[string]int, len(s.syms))
	for i, sym := range s.syms {
		if _, again := s.index[sym.Name]; !again {
			s.index[sym.Name] = i
		}
		if p := s.part(sym.Addr); p != nil && sym.Addr > p.Start { // the linker script names the start
			p.named = true
		}
	}
	if len(s.text) == 0 || len(s.syms) == 0 {
		return nil, fmt.Errorf("%s: has no text, or no symbols: %w", img.Name(), errno.ENOENT)
	}
	return s, nil
}

func (s *space) part(addr uint64) *part {
	i := sort.Search(len(s.parts), func(i int) bool { return s.parts[i].End > addr })
	if i == len(s.parts) || !s.parts[i].Contains(addr) {
		return nil
	}
	return &s.parts[i]
}

// bytes is what the file has from addr on; nil: nothing.
func (s *space) bytes(addr uint64) []byte {
	p := s.part(addr)
	if p == nil || addr-p.Start >= uint64(len(p.data)) {
		return nil
	}
	return p.data[addr-p.Start:]
}

func (s *space) word(addr uint64) (uint32, bool) {
	b := s.bytes(addr)
	if len(b) < 4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}

func (s *space) quad(addr uint64) (uint64, bool) {
	b := s.bytes(addr)
	if len(b) < 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}

func (s *space) inText(addr uint64) bool {
	return slices.ContainsFunc(s.text, func(r kernelimage.Range) bool { return r.Contains(addr) })
}

// maxString bounds the strings that are compared, in bytes.
const maxString = 4096

// Strings shorter than this are taken for other data where code may write.
const leastWritable = 4

// str is the string at addr: printable, and of one byte at least.
func (s *space) str(addr uint64) (string, bool) {
	p, b := s.part(addr), s.bytes(addr)
	b = b[:min(len(b), maxString)]
	end := bytes.IndexByte(b, 0)
	if end < 1 || p.perm&emu.Exec != 0 && s.inText(addr) || p.perm&emu.Write != 0 && end < leastWritable {
		return "", false
	}
	for _, c := range b[:end] {
		if c >= 0x7f || c < ' ' && c != '\n' && c != '\t' && c != '\r' && c != 1 { // KERN_SOH
			return "", false
		}
	}
	return string(b[:end]), true
}

// at is the symbols that have an address.
func (s *space) at(addr uint64) []kernelimage.Symbol {
	i := sort.Search(len(s.syms), func(i int) bool { return s.syms[i].Addr >= addr })
	end := i
	for end < len(s.syms) && s.syms[end].Addr == addr {
		end++
	}
	return s.syms[i:end]
}

// before is the symbols nearest to an address, at it or below, in the same segment.
func (s *space) before(addr uint64) []kernelimage.Symbol {
	i := sort.Search(len(s.syms), func(i int) bool { return s.syms[i].Addr > addr }) - 1
	p := s.part(addr)
	if i < 0 || p == nil || s.syms[i].Addr < p.Start {
		return nil
	}
	return s.at(s.syms[i].Addr)
}

// base is a symbol's name without the number that a compiler gives to static
// variables, and the linker to veneers.
func base(name string) string {
	for {
		dot := strings.LastIndexByte(name, '.')
		if dot <= 0 || strings.Trim(name[dot+1:], "0123456789") != "" || dot == len(name)-1 {
			return name
		}
		name = name[:dot]
	}
}

// name is how an address is printed: symbol+0xoff, a string, or the number.
func (s *space) name(addr uint64) string {
	if syms := s.at(addr); len(syms) > 0 {
		return base(preferred(syms))
	}
	if str, ok := s.str(addr); ok {
		return quoted(str)
	}
	if syms := s.before(addr); len(syms) > 0 {
		return fmt.Sprintf("%s+%#x", base(preferred(syms)), addr-syms[0].Addr)
	}
	return fmt.Sprintf("%#x", addr)
}

// preferred is the name to print of several: that of a function, without a prefix.
func preferred(syms []kernelimage.Symbol) string {
	best := syms[0].Name
	for _, s := range syms[1:] {
		if strings.HasPrefix(best, "_") && !strings.HasPrefix(s.Name, "_") {
			best = s.Name
		}
	}
	return best
}

// shownString bounds a string in a listing, in bytes.
const shownString = 40

func quoted(s string) string {
	s = strings.TrimPrefix(s, "\x01")
	if len(s) > shownString {
		return fmt.Sprintf("%q...", s[:shownString])
	}
	return fmt.Sprintf("%q", s)
}

// sameAddr reports whether two addresses, of the old and the new image, are of the
// same thing.
func sameAddr(a *space, x uint64, b *space, y uint64) bool {
	if common(a.at(x), b.at(y)) {
		return true
	}
	if a.part(x) == nil || b.part(y) == nil {
		return x == y // neither moves with the kernel
	}
	sx, okX := a.str(x)
	if sy, okY := b.str(y); okX && okY && sx == sy {
		return true
	}
	p, q := a.before(x), b.before(y)
	if len(p) > 0 && len(q) > 0 && x-p[0].Addr == y-q[0].Addr && common(p, q) {
		return true
	}
	return !a.inText(x) && !b.inText(y) && a.sameUnnamed(x, b, y)
}

// unnamed reports whether nothing tells what is at an address.
func (s *space) unnamed(addr uint64) bool {
	p := s.part(addr)
	return p != nil && !p.named && !s.inText(addr) && len(s.at(addr)) == 0
}

// constantSize is how many bytes of constants without a name are compared.
const constantSize = 16

// sameUnnamed reports whether data without a symbol of its own is the same: constants
// that begin with the same bytes, or what begins with the address of the same string, as
// a source location for UBSAN does. Where objects have no symbols at all, it is what
// most functions that are otherwise the same say.
func (s *space) sameUnnamed(x uint64, b *space, y uint64) bool {
	if len(s.at(x)) > 0 || len(b.at(y)) > 0 {
		return false
	}
	if s.unnamed(x) && b.unnamed(y) {
		if _, str := s.str(x); str && s.part(x).perm&emu.Write == 0 {
			return false // of what can be read only, strings tell
		}
		to, known := s.match[x]
		return !known || to == y
	}
	p, q := s.bytes(x), b.bytes(y)
	if s.part(x).perm == emu.Read && b.part(y).perm == emu.Read &&
		len(p) >= constantSize && len(q) >= constantSize && bytes.Equal(p[:constantSize], q[:constantSize]) {
		return true
	}
	v, okV := s.quad(x)
	w, okW := b.quad(y)
	if !okV || !okW {
		return false
	}
	sx, okX := s.str(v)
	sy, okY := b.str(w)
	return okX && okY && sx == sy
}

// common reports whether lists of symbols have a name in common.
func common(a, b []kernelimage.Symbol) bool {
	for _, s := range a {
		for _, t := range b {
			if s.Name == t.Name || base(s.Name) == base(t.Name) {
				return true
			}
		}
	}
	return false
}
