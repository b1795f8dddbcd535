package kernelimage

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"callops/asm"
	"callops/internal/errno"
)

// entriesSection is where compilers list call sites. Linux's linker script
// collects it between __start_mcount_loc and __stop_mcount_loc.
const entriesSection = "__patchable_function_entries"

// siteEntries returns the addresses listed, as they are after relocation.
func (l *elfLoad) siteEntries() ([]uint64, error) {
	var entries []uint64
	for i := range l.Sections {
		s := &l.Sections[i]
		if s.Name != entriesSection || elf.SectionFlag(s.Flags)&elf.SHF_ALLOC == 0 {
			continue
		}
		more, err := l.entriesIn(s.Name, s.Addr+l.bias, s.Size)
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	start, okStart := l.img.symbol("__start_mcount_loc")
	stop, okStop := l.img.symbol("__stop_mcount_loc")
	if len(entries) > 0 || !okStart && !okStop {
		return entries, nil
	}
	if !okStart || !okStop || stop.Addr < start.Addr {
		return nil, l.Fail("__start_mcount_loc", start.Addr, stop.Addr, "does not lie before __stop_mcount_loc, which is at")
	}
	return l.entriesIn("__start_mcount_loc", start.Addr, stop.Addr-start.Addr)
}

func (l *elfLoad) entriesIn(section string, addr, size uint64) ([]uint64, error) {
	b, ok := l.img.read(addr, size)
	if !ok || size%8 != 0 {
		return nil, l.Fail(section, addr, size, "is not a list of addresses in a segment, size")
	}
	entries := make([]uint64, 0, size/8)
	for ; len(b) > 0; b = b[8:] {
		// Build steps of the kernel zero the entries of functions they drop.
		if e := binary.LittleEndian.Uint64(b); e != 0 {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// symbol returns the first symbol called name.
func (img *Image) symbol(name string) (Symbol, bool) {
	i := slices.IndexFunc(img.symbols, func(s Symbol) bool { return s.Name == name })
	if i < 0 {
		return Symbol{}, false
	}
	return img.symbols[i], true
}

// setSites makes sites of the addresses that the compiler listed, as
// ftrace_call_adjust does, and finds out which layout they have.
func (img *Image) setSites(entries []uint64) error {
	slices.Sort(entries)
	funcs := img.functions()
	img.sites = make([]Site, 0, len(entries))
	img.callOps = img.hasLiterals(entries, funcs)
	for i, entry := range entries {
		site, err := img.site(entry, funcs)
		if err != nil {
			return err
		}
		if i > 0 && entry < img.sites[i-1].IP+4 {
			return img.badSite(entry, fmt.Sprintf("overlaps the one at %#x", entries[i-1]))
		}
		img.sites = append(img.sites, site)
		img.bti = img.bti || site.BTI
	}
	return nil
}

// funcAddrs are the addresses of functions, in ascending order.
type funcAddrs []uint64

func (img *Image) functions() funcAddrs {
	funcs := make(funcAddrs, 0, len(img.symbols)/2)
	for _, s := range img.symbols {
		if s.Func {
			funcs = append(funcs, s.Addr)
		}
	}
	slices.Sort(funcs) // an ELF file's may be in another order
	return funcs
}

func (f funcAddrs) has(addr uint64) bool {
	_, found := slices.BinarySearch(f, addr)
	return found
}

// hasLiterals reports whether most entries look as with CALL_OPS: two words in
// front of the function, that is, four NOPs with or without a BTI in the
// middle. A function's symbol at the entry says that they are not in front.
func (img *Image) hasLiterals(entries []uint64, funcs funcAddrs) bool {
	literals := 0
	for _, e := range entries {
		w, ok := img.words(e, 4)
		if !ok || funcs.has(e) || funcs.has(e-4) {
			continue
		}
		if asm.IsNop(w[0]) && asm.IsNop(w[1]) && (asm.IsNop(w[2]) || asm.IsBTI(w[2])) && asm.IsNop(w[3]) {
			literals++
		}
	}
	return literals > len(entries)/2
}

// site checks the words at one entry. Linux warns where the address or the
// BTI is wrong and fails later, some in an oops; here it is an error at once.
func (img *Image) site(entry uint64, funcs funcAddrs) (Site, error) {
	if entry%4 != 0 {
		return Site{}, img.badSite(entry, "is not aligned to 4 bytes")
	}
	if !img.callOps {
		before, ok := img.words(entry-4, 1)
		site := Site{Entry: entry, IP: entry + 4, BTI: ok && asm.IsBTI(before[0]) && !funcs.has(entry)}
		return site, img.expectNops(entry, entry, entry+4)
	}
	if entry%8 != 0 {
		return Site{}, img.badSite(entry, "misaligned patch site: its literal has to be aligned to 8 bytes (gcc does not apply -falign-functions with -Os, nor to cold functions: use -fmin-function-alignment=8, which gcc 14 has, or -O2 and no cold attribute)")
	}
	site := Site{Entry: entry, Literal: entry, IP: entry + 12}
	w, ok := img.words(entry+8, 1)
	if ok && asm.IsBTI(w[0]) {
		site.BTI, site.IP = true, entry+16
	} else if ok && !asm.IsNop(w[0]) {
		return Site{}, img.badSite(entry, fmt.Sprintf("unexpected insn in patch site: at %#x stands %s, expected nop or bti c",
			entry+8, describe(w[0], entry+8)))
	}
	return site, img.expectNops(entry, entry, entry+4, site.IP-4, site.IP)
}

// expectNops checks the words that the compiler leaves for ftrace.
func (img *Image) expectNops(entry uint64, addrs ...uint64) error {
	for _, addr := range addrs {
		w, ok := img.words(addr, 1)
		if !ok || !img.inText(addr) {
			return img.badSite(entry, fmt.Sprintf("%#x is not in the image's text", addr))
		}
		if !asm.IsNop(w[0]) {
			return img.badSite(entry, fmt.Sprintf("at %#x stands %s, expected nop, which a compiler leaves", addr, describe(w[0], addr)))
		}
	}
	return nil
}

func (img *Image) inText(addr uint64) bool {
	_, ok := slices.BinarySearchFunc(img.text, addr, func(r Range, addr uint64) int {
		switch {
		case r.Contains(addr):
			return 0
		case r.Start > addr:
			return 1
		}
		return -1
	})
	return ok
}

func describe(word uint32, pc uint64) string {
	return fmt.Sprintf("%#08x (%s)", word, asm.Disassemble(word, pc, nil))
}

// Word returns the instruction at addr, as the file has it.
func (img *Image) Word(addr uint64) (word uint32, ok bool) {
	if img.reading(func() { word, ok = img.word(addr) }) != nil {
		return 0, false
	}
	return word, ok
}

func (img *Image) word(addr uint64) (uint32, bool) {
	w, ok := img.words(addr, 1)
	if !ok {
		return 0, false
	}
	return w[0], true
}

// words reads n instruction words of the image.
func (img *Image) words(addr uint64, n int) ([]uint32, bool) {
	b, ok := img.read(addr, uint64(4*n))
	if !ok {
		return nil, false
	}
	w := make([]uint32, n)
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w, true
}

func (img *Image) badSite(entry uint64, msg string) error {
	// The function is not at the entry with a literal, so its name is not the
	// entry's but that of the words after it.
	symbol := img.symbolize(entry)
	if img.callOps {
		symbol = img.symbolize(entry + 8)
	}
	return &FormatError{File: img.name, Section: "call site", Offset: entry, Symbol: symbol, Msg: msg, Errno: errno.EINVAL}
}
