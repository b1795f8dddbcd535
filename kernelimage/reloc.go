package kernelimage

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage/internal/elffile"
)

// Types of sections that debug/elf has no name for. A table of type RELR holds
// addresses to add the bias to, packed; Android's linkers had it under a number of
// their own first.
const (
	shtRELR        = elf.SectionType(19)
	shtAndroidRELR = elf.SectionType(0x6fffff00)
	shtMemtag      = elf.SectionType(0x70000007) // and the next: where memory is tagged
	shtMemtagDyn   = elf.SectionType(0x70000008)
)

// withoutRelocations are the types of sections of a loaded image that hold none.
var withoutRelocations = []elf.SectionType{
	elf.SHT_NULL, elf.SHT_PROGBITS, elf.SHT_SYMTAB, elf.SHT_STRTAB, elf.SHT_HASH, elf.SHT_DYNAMIC, elf.SHT_NOTE, elf.SHT_NOBITS,
	elf.SHT_DYNSYM, elf.SHT_INIT_ARRAY, elf.SHT_FINI_ARRAY, elf.SHT_PREINIT_ARRAY, elf.SHT_GROUP, elf.SHT_SYMTAB_SHNDX,
	elf.SHT_GNU_HASH, elf.SHT_GNU_VERDEF, elf.SHT_GNU_VERNEED, elf.SHT_GNU_VERSYM, shtMemtag, shtMemtagDyn,
}

// relocationTables checks that no relocations are left out: sections of other types
// than those known may be some.
func (l *elfLoad) relocationTables() error {
	read := []elf.SectionType{elf.SHT_RELA, shtRELR, shtAndroidRELR}
	for i := range l.Sections {
		s := &l.Sections[i]
		if elf.SectionFlag(s.Flags)&elf.SHF_ALLOC == 0 || s.Size == 0 {
			continue
		}
		if t := elf.SectionType(s.Type); !slices.Contains(read, t) && !slices.Contains(withoutRelocations, t) {
			return l.FailRelocations(s)
		}
	}
	return l.dynamicTables()
}

// dynamicTags are the entries of a dynamic section that name relocations.
var dynamicTags = map[elf.DynTag]string{
	elf.DT_REL: "DT_REL", elf.DT_RELA: "DT_RELA", elf.DT_JMPREL: "DT_JMPREL", 36: "DT_RELR",
	0x6000000f: "DT_ANDROID_REL", 0x60000011: "DT_ANDROID_RELA", 0x6fffe000: "DT_ANDROID_RELR",
}

// dynamicTables checks that there is a section for each table that the dynamic
// loader would read: in a file that lost its section headers there is none.
func (l *elfLoad) dynamicTables() error {
	i := slices.IndexFunc(l.Progs, func(p elf.Prog64) bool { return elf.ProgType(p.Type) == elf.PT_DYNAMIC })
	if i < 0 {
		return nil
	}
	const entry = 16
	p := l.Progs[i]
	b, err := l.Read("dynamic section", p.Off, p.Filesz)
	if err != nil {
		return err
	}
	for at := p.Off; len(b) >= entry; b, at = b[entry:], at+entry {
		tag, addr := elf.DynTag(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:])
		if tag == elf.DT_NULL {
			return nil
		}
		name, ok := dynamicTags[tag]
		if ok && !slices.ContainsFunc(l.Sections, func(s elffile.Section) bool {
			return s.Addr <= addr && addr <= s.Addr+s.Size && s.Type != uint32(elf.SHT_NULL)
		}) {
			return l.Fail("dynamic section", at, addr, "%s names relocations for which there is no section (do not strip the section headers), at", name)
		}
	}
	return nil
}

// relocate applies the dynamic relocations, all at once, as a kernel that
// relocates itself does. What no symbol of the file resolves is one error.
func (l *elfLoad) relocate() error {
	if err := l.relocationTables(); err != nil {
		return err
	}
	var missing []string
	for _, s := range l.SectionsOf(elf.SHT_RELA) {
		if elf.SectionFlag(s.Flags)&elf.SHF_ALLOC == 0 {
			continue // left by ld --emit-relocs, applied already
		}
		names, err := l.relocateRela(s)
		if err != nil {
			return err
		}
		missing = append(missing, names...)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		missing = slices.Compact(missing)
		const most = 20
		list := strings.Join(missing[:min(most, len(missing))], ", ")
		if n := len(missing) - most; n > 0 {
			list += fmt.Sprintf(" and %d more", n)
		}
		return &FormatError{File: l.Name, Section: "relocations", Msg: "no symbol of the file is called " + list, Errno: errno.ENOENT}
	}
	for _, s := range append(l.SectionsOf(shtRELR), l.SectionsOf(shtAndroidRELR)...) {
		if err := l.relocateRelr(s); err != nil {
			return err
		}
	}
	return nil
}

// hostedHint is what relocations say of programs that a C library starts.
var hostedHint = map[elf.R_AARCH64]string{
	elf.R_AARCH64_IRELATIVE:   linkFreestanding,
	elf.R_AARCH64_TLSDESC:     linkFreestanding,
	elf.R_AARCH64_TLS_TPREL64: linkFreestanding,
	elf.R_AARCH64_COPY:        linkFreestanding,
}

// relocateRela applies one table and returns the names it could not resolve.
func (l *elfLoad) relocateRela(s *elffile.Section) (missing []string, err error) {
	relas, err := elffile.Table[elf.Rela64](l.File, s, elffile.RelaSize)
	if err != nil {
		return nil, err
	}
	var syms []elf.Sym64
	var names string
	if s.Link != 0 {
		if uint64(s.Link) >= uint64(len(l.Sections)) {
			return nil, l.Fail(s.Name, s.Off, nil, "its symbols are in section %d of %d", s.Link, len(l.Sections))
		}
		if syms, names, err = l.readSymbols(&l.Sections[s.Link]); err != nil {
			return nil, err
		}
	}
	for i, r := range relas {
		at := s.Off + uint64(i)*elffile.RelaSize
		value, typ := uint64(r.Addend), elf.R_AARCH64(elf.R_TYPE64(r.Info))
		switch typ {
		case elf.R_AARCH64_NULL, elf.R_AARCH64_NONE:
			continue
		case elf.R_AARCH64_RELATIVE:
			value += l.bias
		case elf.R_AARCH64_ABS64, elf.R_AARCH64_GLOB_DAT, elf.R_AARCH64_JUMP_SLOT:
			n := uint64(elf.R_SYM64(r.Info))
			if n >= uint64(len(syms)) {
				return nil, l.Fail(s.Name, at, nil, "symbol %d of %d", n, len(syms))
			}
			addr, ok := l.resolve(syms[n])
			if !ok {
				name, err := l.Str(names, uint64(syms[n].Name), s.Name)
				if err != nil {
					return nil, err
				}
				missing = append(missing, name)
				continue
			}
			value += addr
		default:
			return nil, l.Fail(s.Name, at, nil, "relocation %v is not one that a linked image has%s", typ, hostedHint[typ])
		}
		if err := l.store(s.Name, at, r.Off, value); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// resolve returns a symbol's address; an undefined weak one is at 0.
func (l *elfLoad) resolve(s elf.Sym64) (uint64, bool) {
	switch i := elf.SectionIndex(s.Shndx); {
	case i == elf.SHN_UNDEF:
		return 0, elf.ST_BIND(s.Info) == elf.STB_WEAK
	case i == elf.SHN_ABS:
		return s.Value, true
	}
	return s.Value + l.bias, true
}

// relocateRelr applies a packed table. A word with bit 0 clear is an address;
// one with bit 0 set says which of the 63 words that follow are meant too.
func (l *elfLoad) relocateRelr(s *elffile.Section) error {
	words, err := elffile.Table[uint64](l.File, s, 8)
	if err != nil {
		return err
	}
	var next uint64
	for i, w := range words {
		at := s.Off + uint64(i)*8
		if w&1 == 0 {
			if err := l.rebase(s.Name, at, w); err != nil {
				return err
			}
			next = w + 8
			continue
		}
		for bit := uint64(1); bit < 64; bit++ {
			if w>>bit&1 == 0 {
				continue
			}
			if err := l.rebase(s.Name, at, next+(bit-1)*8); err != nil {
				return err
			}
		}
		next += 63 * 8
	}
	return nil
}

// rebase adds the bias to the doubleword at addr.
func (l *elfLoad) rebase(section string, at, addr uint64) error {
	b, ok := l.img.read(addr+l.bias, 8)
	if !ok {
		return l.Fail(section, at, addr, "relocates what is not in the file, address")
	}
	binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+l.bias)
	return nil
}

// store writes a relocated doubleword. The image is still being made, so its
// data may be changed.
func (l *elfLoad) store(section string, at, addr, value uint64) error {
	b, ok := l.img.read(addr+l.bias, 8)
	if !ok {
		return l.Fail(section, at, addr, "relocates what is not in the file, address")
	}
	binary.LittleEndian.PutUint64(b, value)
	return nil
}
