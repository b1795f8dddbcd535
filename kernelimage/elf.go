package kernelimage

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"callops/internal/errno"
)

// Sizes of the ELF64 structures.
const (
	elfHeaderSize  = 64
	elfSectionSize = 64
	elfProgSize    = 56
	elfSymSize     = 24
	elfRelaSize    = 24
)

// maxNameLen bounds names of sections and symbols: KSYM_NAME_LEN.
const maxNameLen = 512

// readFactor bounds what is read of a file, as a multiple of its length. No
// honest file makes its tables and segments overlap often; one that does could
// make a small file fill memory.
const readFactor = 4

// elfFile reads the tables of an ELF64 little-endian file. It uses debug/elf's
// structures, not its reader, which allocates a name for each section however
// long, and panics on some files. Nothing here trusts an offset or a size.
type elfFile struct {
	r    io.ReaderAt
	size uint64
	name string
	left uint64 // bytes that may still be read

	relocatable bool // a kernel module is read

	header   elf.Header64
	sections []elfSection
	progs    []elf.Prog64
}

type elfSection struct {
	elf.Section64
	Name string
}

func (f *elfFile) fail(section string, off uint64, value any, format string, args ...any) error {
	return &FormatError{File: f.name, Section: section, Offset: off, Value: value, Msg: fmt.Sprintf(format, args...), Errno: errno.ENOEXEC}
}

// read returns n bytes at off. It allocates them only when the file has them.
func (f *elfFile) read(section string, off, n uint64) ([]byte, error) {
	switch {
	case off > f.size || n > f.size-off:
		return nil, f.fail(section, off, n, "reaches past the end of the file (%#x bytes), size", f.size)
	case n > f.left:
		return nil, f.fail(section, off, n, "tables or segments overlap too much, size")
	}
	f.left -= n
	b := make([]byte, n)
	if _, err := f.r.ReadAt(b, int64(off)); err != nil && n > 0 && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return b, nil
}

// decode fills v, a fixed-size structure or a slice of such, from b.
func decode(b []byte, v any) error {
	return binary.Read(bytes.NewReader(b), binary.LittleEndian, v)
}

func newELF(r io.ReaderAt, size int64, name string) (*elfFile, error) {
	f := &elfFile{r: r, size: uint64(size), name: name}
	f.left = readFactor*f.size + elfHeaderSize
	if err := f.readHeader(); err != nil {
		return nil, err
	}
	if err := f.readProgs(); err != nil {
		return nil, err
	}
	return f, f.readSections()
}

func (f *elfFile) readHeader() error {
	if f.size < elfHeaderSize {
		return f.fail("ELF header", 0, f.size, "cut short, length")
	}
	b, err := f.read("ELF header", 0, elfHeaderSize)
	if err != nil {
		return err
	}
	if err := decode(b, &f.header); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	h := &f.header
	class, data := elf.Class(h.Ident[elf.EI_CLASS]), elf.Data(h.Ident[elf.EI_DATA])
	typ, machine := elf.Type(h.Type), elf.Machine(h.Machine)
	bad := func(off uint64, format string, args ...any) error {
		return f.fail("ELF header", off, nil, format, args...)
	}
	switch {
	case class != elf.ELFCLASS64:
		return bad(elf.EI_CLASS, "class is %v, only %v is run", class, elf.ELFCLASS64)
	case data != elf.ELFDATA2LSB:
		return bad(elf.EI_DATA, "data is %v, only %v (little-endian) is run", data, elf.ELFDATA2LSB)
	case machine != elf.EM_AARCH64:
		return bad(0x12, "machine is %v, only %v is run", machine, elf.EM_AARCH64)
	case f.relocatable && typ != elf.ET_REL:
		return bad(0x10, "type is %v, a kernel module's is ET_REL", typ)
	case typ == elf.ET_REL && !f.relocatable:
		return bad(0x10, "type is ET_REL: link it first, as an executable (ET_EXEC) or with -shared (ET_DYN)")
	case typ != elf.ET_EXEC && typ != elf.ET_DYN && typ != elf.ET_REL:
		return bad(0x10, "type is %v, only ET_EXEC and ET_DYN are run", typ)
	case h.Phnum != 0 && h.Phentsize != elfProgSize:
		return bad(0x36, "program headers are %d bytes each, not %d", h.Phentsize, elfProgSize)
	case h.Shoff != 0 && h.Shentsize != elfSectionSize:
		return bad(0x3a, "section headers are %d bytes each, not %d", h.Shentsize, elfSectionSize)
	}
	return nil
}

func (f *elfFile) readProgs() error {
	b, err := f.read("program headers", f.header.Phoff, uint64(f.header.Phnum)*elfProgSize)
	if err != nil {
		return err
	}
	f.progs = make([]elf.Prog64, f.header.Phnum)
	return decode(b, f.progs)
}

func (f *elfFile) readSections() error {
	h := &f.header
	if h.Shoff == 0 {
		return nil
	}
	// Section 0 holds the numbers that do not fit into the header.
	count, names := uint64(h.Shnum), uint64(h.Shstrndx)
	if count == 0 || h.Shstrndx == uint16(elf.SHN_XINDEX) {
		var first elf.Section64
		b, err := f.read("section headers", h.Shoff, elfSectionSize)
		if err != nil {
			return err
		}
		if err := decode(b, &first); err != nil {
			return err
		}
		if count == 0 {
			count = first.Size
		}
		if h.Shstrndx == uint16(elf.SHN_XINDEX) {
			names = uint64(first.Link)
		}
	}
	if count > f.size/elfSectionSize {
		return f.fail("section headers", h.Shoff, nil, "%d of them do not fit into the file (%#x bytes)", count, f.size)
	}
	b, err := f.read("section headers", h.Shoff, count*elfSectionSize)
	if err != nil {
		return err
	}
	raw := make([]elf.Section64, count)
	if err := decode(b, raw); err != nil {
		return err
	}
	f.sections = make([]elfSection, count)
	for i := range raw {
		f.sections[i].Section64 = raw[i]
	}
	return f.nameSections(names)
}

func (f *elfFile) nameSections(names uint64) error {
	if names == 0 {
		return nil
	}
	table, err := f.stringTable(names, "section names")
	if err != nil {
		return err
	}
	for i := range f.sections {
		s := &f.sections[i]
		if s.Name, err = f.str(table, uint64(s.Section64.Name), "section names"); err != nil {
			return err
		}
	}
	return nil
}

// stringTable reads the section with the given index as one string, of which
// every name is a part, so that names cost no memory of their own.
func (f *elfFile) stringTable(index uint64, what string) (string, error) {
	if index >= uint64(len(f.sections)) {
		return "", f.fail(what, 0, nil, "are in section %d of %d", index, len(f.sections))
	}
	s := &f.sections[index]
	if elf.SectionType(s.Type) != elf.SHT_STRTAB {
		return "", f.fail(what, s.Off, nil, "section %d is %v, not SHT_STRTAB", index, elf.SectionType(s.Type))
	}
	b, err := f.read(what, s.Off, s.Size)
	return string(b), err
}

func (f *elfFile) str(table string, off uint64, what string) (string, error) {
	if off == 0 && table == "" {
		return "", nil
	}
	if off >= uint64(len(table)) {
		return "", f.fail(what, 0, off, "name reaches past the string table (%#x bytes), offset", len(table))
	}
	s := table[off:min(uint64(len(table)), off+maxNameLen)]
	n := strings.IndexByte(s, 0)
	if n < 0 {
		return "", f.fail(what, 0, off, "name does not end within %d bytes, offset", len(s))
	}
	return s[:n], nil
}

// table reads a section that is an array of T, entry bytes each.
func table[T any](f *elfFile, s *elfSection, entry uint64) ([]T, error) {
	if s.Entsize != entry || s.Size%entry != 0 {
		return nil, f.fail(s.Name, s.Off, nil, "%#x bytes in entries of %d, expected entries of %d", s.Size, s.Entsize, entry)
	}
	b, err := f.read(s.Name, s.Off, s.Size)
	if err != nil {
		return nil, err
	}
	t := make([]T, s.Size/entry)
	return t, decode(b, t)
}

// sectionsOf returns the sections of a type.
func (f *elfFile) sectionsOf(t elf.SectionType) []*elfSection {
	var found []*elfSection
	for i := range f.sections {
		if elf.SectionType(f.sections[i].Type) == t {
			found = append(found, &f.sections[i])
		}
	}
	return found
}
