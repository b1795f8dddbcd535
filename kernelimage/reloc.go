package kernelimage

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
)

// shtRELR is a table of addresses to add the bias to, packed. debug/elf has no
// name for it.
const shtRELR = elf.SectionType(19)

// relocate applies the dynamic relocations, all at once, as a kernel that
// relocates itself does. What no symbol of the file resolves is one error.
func (l *elfLoad) relocate() error {
	var missing []string
	for _, s := range l.sectionsOf(elf.SHT_RELA) {
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
		return &FormatError{File: l.name, Section: "relocations", Msg: "no symbol of the file is called " + list, Errno: errno.ENOENT}
	}
	for _, s := range l.sectionsOf(shtRELR) {
		if err := l.relocateRelr(s); err != nil {
			return err
		}
	}
	return nil
}

// relocateRela applies one table and returns the names it could not resolve.
func (l *elfLoad) relocateRela(s *elfSection) (missing []string, err error) {
	relas, err := table[elf.Rela64](l.elfFile, s, elfRelaSize)
	if err != nil {
		return nil, err
	}
	var syms []elf.Sym64
	var names string
	if s.Link != 0 {
		if uint64(s.Link) >= uint64(len(l.sections)) {
			return nil, l.fail(s.Name, s.Off, nil, "its symbols are in section %d of %d", s.Link, len(l.sections))
		}
		if syms, names, err = l.readSymbols(&l.sections[s.Link]); err != nil {
			return nil, err
		}
	}
	for i, r := range relas {
		at := s.Off + uint64(i)*elfRelaSize
		value, typ := uint64(r.Addend), elf.R_AARCH64(elf.R_TYPE64(r.Info))
		switch typ {
		case elf.R_AARCH64_NULL, elf.R_AARCH64_NONE:
			continue
		case elf.R_AARCH64_RELATIVE:
			value += l.bias
		case elf.R_AARCH64_ABS64, elf.R_AARCH64_GLOB_DAT, elf.R_AARCH64_JUMP_SLOT:
			n := uint64(elf.R_SYM64(r.Info))
			if n >= uint64(len(syms)) {
				return nil, l.fail(s.Name, at, nil, "symbol %d of %d", n, len(syms))
			}
			addr, ok := l.resolve(syms[n])
			if !ok {
				name, err := l.str(names, uint64(syms[n].Name), s.Name)
				if err != nil {
					return nil, err
				}
				missing = append(missing, name)
				continue
			}
			value += addr
		default:
			return nil, l.fail(s.Name, at, nil, "relocation %v is not one that a linked image has", typ)
		}
		if err := l.store(s.Name, at, r.Off, value); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// resolve returns a symbol's address; a weak one that nobody defines is at 0.
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
func (l *elfLoad) relocateRelr(s *elfSection) error {
	words, err := table[uint64](l.elfFile, s, 8)
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
		return l.fail(section, at, addr, "relocates what is not in the file, address")
	}
	binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+l.bias)
	return nil
}

// store writes a relocated doubleword. The image is still being made, so its
// data may be changed.
func (l *elfLoad) store(section string, at, addr, value uint64) error {
	b, ok := l.img.read(addr+l.bias, 8)
	if !ok {
		return l.fail(section, at, addr, "relocates what is not in the file, address")
	}
	binary.LittleEndian.PutUint64(b, value)
	return nil
}
