package kernelimage

import (
	"cmp"
	"context"
	"debug/elf"
	"io"
	"slices"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage/internal/elffile"
	"callops/kernelimage/internal/format"
)

// kernelBase is where an image that may lie anywhere goes, and where the
// built-in kernel is: the start of arm64's kernel image area with 48-bit
// addresses, KIMAGE_VADDR of Linux 6.12.
const kernelBase uint64 = 0xffff_8000_8000_0000

// maxMem bounds what the segments of an image may take up, in bytes.
const maxMem = 1 << 30

// maxSegments bounds how many regions an image becomes. Linkers make a handful.
const maxSegments = 256

// elfLoad is an ELF file on its way to an Image.
type elfLoad struct {
	*elffile.File
	img  *Image
	bias uint64 // added to every address of the file
}

func parseELF(ctx context.Context, r io.ReaderAt, size int64, name string, profile Profile) (*Image, error) {
	f, err := elffile.New(r, size, name, elffile.Linked)
	if err != nil {
		return nil, err
	}
	l := &elfLoad{File: f, img: &Image{name: name, profile: profile, layout: *layouts[profile]}}
	if err := format.Steps(ctx, l.segments, l.text, l.symbols, l.relocate, l.sites, l.debugInfo); err != nil {
		return nil, err
	}
	return l.img, nil
}

// linkFreestanding is what to do about a file that is made to be started by an
// operating system and its C library.
const linkFreestanding = ": it needs an operating system; build functions for callops with -ffreestanding -mgeneral-regs-only and link them with -nostdlib -static, or with -shared"

// segments reads what PT_LOAD says, in address order.
func (l *elfLoad) segments() error {
	var loads []elf.Prog64
	for _, p := range l.Progs {
		if elf.ProgType(p.Type) == elf.PT_LOAD && p.Memsz > 0 {
			loads = append(loads, p)
		}
	}
	if i := slices.IndexFunc(l.Progs, func(p elf.Prog64) bool { return elf.ProgType(p.Type) == elf.PT_INTERP }); i >= 0 {
		return l.Fail("program headers", l.Header.Phoff, nil, "the file is started by a dynamic loader (PT_INTERP)%s", linkFreestanding)
	}
	if len(loads) == 0 {
		return l.Fail("program headers", l.Header.Phoff, nil, "nothing to load: no PT_LOAD")
	}
	if len(loads) > maxSegments {
		return l.Fail("program headers", l.Header.Phoff, nil, "%d segments, at most %d are loaded", len(loads), maxSegments)
	}
	slices.SortStableFunc(loads, func(a, b elf.Prog64) int { return cmp.Compare(a.Vaddr, b.Vaddr) })
	first := loads[0].Vaddr
	if elf.Type(l.Header.Type) == elf.ET_DYN && first>>63 == 0 {
		l.bias = kernelBase - first&^(emu.PageSize-1)
	}
	var end uint64
	for _, p := range loads {
		switch {
		case p.Memsz < p.Filesz:
			return l.Fail("segment", p.Vaddr, nil, "%#x bytes in memory, %#x in the file", p.Memsz, p.Filesz)
		case p.Memsz > maxMem || p.Vaddr-first > maxMem-p.Memsz:
			return l.Fail("segment", p.Vaddr, nil, "%#x bytes: with the segments before it more than %#x", p.Memsz, maxMem)
		case p.Vaddr+p.Memsz < p.Vaddr:
			return l.Fail("segment", p.Vaddr, p.Memsz, "wraps around the address space, size")
		case p.Vaddr < end:
			return l.Fail("segment", p.Vaddr, nil, "overlaps the one before it, which ends at %#x", end)
		}
		end = p.Vaddr + p.Memsz
		var data []byte
		if p.Filesz > 0 { // else ld leaves any offset, even one past the end of the file
			var err error
			if data, err = l.Read("segment", p.Off, p.Filesz); err != nil {
				return err
			}
		}
		perm := permOf(elf.ProgFlag(p.Flags))
		l.img.segments = append(l.img.segments, Segment{
			Name: segmentName(perm), Addr: p.Vaddr + l.bias, data: data, MemSize: p.Memsz, Perm: perm,
		})
	}
	return nil
}

func permOf(flags elf.ProgFlag) emu.Perm {
	var p emu.Perm
	for flag, perm := range map[elf.ProgFlag]emu.Perm{elf.PF_R: emu.Read, elf.PF_W: emu.Write, elf.PF_X: emu.Exec} {
		if flags&flag != 0 {
			p |= perm
		}
	}
	return p
}

func segmentName(p emu.Perm) string {
	switch {
	case p&emu.Exec != 0:
		return "text"
	case p&emu.Write != 0:
		return "data"
	}
	return "rodata"
}

// text notes where instructions are: sections that say so, or where there are
// no sections the executable segments.
func (l *elfLoad) text() error {
	const want = elf.SHF_ALLOC | elf.SHF_EXECINSTR
	for _, s := range l.SectionsOf(elf.SHT_PROGBITS) {
		if elf.SectionFlag(s.Flags)&want != want || s.Size == 0 {
			continue
		}
		start := s.Addr + l.bias
		if _, ok := l.img.read(start, s.Size); !ok {
			return l.Fail(s.Name, s.Addr, s.Size, "lies in no segment, size")
		}
		l.img.text = append(l.img.text, Range{start, start + s.Size})
	}
	if len(l.Sections) == 0 {
		for _, s := range l.img.segments {
			if s.Perm&emu.Exec != 0 {
				l.img.text = append(l.img.text, Range{s.Addr, s.Addr + uint64(len(s.data))})
			}
		}
	}
	slices.SortFunc(l.img.text, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(l.img.text); i++ {
		if l.img.text[i].Start < l.img.text[i-1].End {
			return l.Fail("sections", 0, l.img.text[i].Start, "two sections of instructions overlap at")
		}
	}
	return nil
}

// elfSym is a symbol with what orders it among others at its address.
type elfSym struct {
	Symbol
	rank int
}

// symbols reads .symtab, or .dynsym where the file is stripped.
func (l *elfLoad) symbols() error {
	tables := l.SectionsOf(elf.SHT_SYMTAB)
	if len(tables) == 0 {
		tables = l.SectionsOf(elf.SHT_DYNSYM)
	}
	if len(tables) == 0 {
		return nil
	}
	raw, names, err := l.readSymbols(tables[0])
	if err != nil {
		return err
	}
	bounds := l.img.Bounds()
	var syms []elfSym
	for _, s := range raw {
		name, err := l.Str(names, uint64(s.Name), tables[0].Name)
		if err != nil {
			return err
		}
		addr, typ := s.Value+l.bias, elf.ST_TYPE(s.Info)
		if !elffile.Named(name) || !defined(s) || addr < bounds.Start || addr > bounds.End || s.Size > bounds.End-addr ||
			typ != elf.STT_FUNC && typ != elf.STT_OBJECT && typ != elf.STT_NOTYPE {
			continue
		}
		syms = append(syms, elfSym{Symbol{Name: name, Addr: addr, Size: s.Size, Func: typ == elf.STT_FUNC}, elffile.SymbolRank(name, elf.ST_BIND(s.Info))})
	}
	slices.SortStableFunc(syms, func(a, b elfSym) int { return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.rank, b.rank)) })
	for _, s := range syms {
		l.img.symbols = append(l.img.symbols, s.Symbol)
	}
	return nil
}

func defined(s elf.Sym64) bool {
	i := elf.SectionIndex(s.Shndx)
	return i != elf.SHN_UNDEF && (i < elf.SHN_LORESERVE || i == elf.SHN_XINDEX)
}

func (l *elfLoad) readSymbols(s *elffile.Section) (syms []elf.Sym64, names string, err error) {
	if syms, err = elffile.Table[elf.Sym64](l.File, s, elffile.SymSize); err != nil {
		return nil, "", err
	}
	names, err = l.StringTable(uint64(s.Link), "names of "+s.Name)
	return syms, names, err
}

// sites finds the list of call sites and checks each.
func (l *elfLoad) sites() error {
	entries, err := l.siteEntries()
	if err != nil {
		return err
	}
	if err := l.img.setSites(entries); err != nil {
		return err
	}
	if l.img.callOps && l.img.profile == Profile61 {
		return &FormatError{File: l.Name, Msg: "has literals of CALL_OPS, which profile 6.1 does not know", Errno: errno.EINVAL}
	}
	return nil
}
