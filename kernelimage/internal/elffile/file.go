// Package elffile reads the tables of ELF files of arm64: the header, program and
// section headers, names, symbols, relocations. It trusts no offset and no size,
// and reads no more of a file than MostRead.
package elffile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage/internal/format"
)

// Sizes of the ELF64 structures, in bytes.
const (
	HeaderSize  = 64
	SectionSize = 64
	progSize    = 56
	SymSize     = 24
	RelaSize    = 24
)

// MaxName bounds names of sections and symbols, in bytes: KSYM_NAME_LEN.
const MaxName = 512

// What is read of a file in all, in bytes. ReadFactor is a multiple of its length: no
// honest file makes its tables and segments overlap often; one that does could
// make a small file fill memory. MostRead is for files whose length means nothing, as
// they are sparse. What is not read, such as debug information, does not count.
const (
	ReadFactor = 4
	MostRead   = 256 << 20
)

// Kind is what a file is read for.
type Kind int

// The kinds of files.
const (
	Linked      Kind = iota // an image: ET_EXEC or ET_DYN
	Relocatable             // a kernel module: ET_REL
)

// File reads the tables of an ELF64 little-endian file. It uses debug/elf's
// structures, not its reader, which allocates a name for each section however
// long, and panics on some files.
type File struct {
	Name     string // for messages
	Header   elf.Header64
	Sections []Section
	Progs    []elf.Prog64

	kind Kind
	r    io.ReaderAt
	size uint64
	left uint64 // bytes that may still be read
}

// Section is a section with its name, which shadows its place among the names.
type Section struct {
	elf.Section64
	Name string
}

// Fail returns an error that matches ENOEXEC: what is wrong in section, at off,
// where value was found (nil: the message says it all).
func (f *File) Fail(section string, off uint64, value any, msg string, args ...any) error {
	return &format.Error{File: f.Name, Section: section, Offset: off, Value: value, Msg: fmt.Sprintf(msg, args...), Errno: errno.ENOEXEC}
}

// Read returns n bytes at off, of what section names. It allocates them only when
// the file has them.
func (f *File) Read(section string, off, n uint64) ([]byte, error) {
	switch {
	case off > f.size || n > f.size-off:
		return nil, f.Fail(section, off, n, "reaches past the end of the file (%#x bytes), size", f.size)
	case n > f.left && n > MostRead:
		return nil, f.Fail(section, off, n, "more than %#x bytes are not read of a file, size", MostRead)
	case n > f.left:
		return nil, f.Fail(section, off, n, "tables or segments overlap too much, or are more than %#x bytes, size", MostRead)
	}
	f.left -= n
	b := make([]byte, n)
	if _, err := f.r.ReadAt(b, int64(off)); err != nil && n > 0 && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return b, nil
}

// Decode fills v, a fixed-size structure or a slice of such, from b.
func Decode(b []byte, v any) error {
	return binary.Read(bytes.NewReader(b), binary.LittleEndian, v)
}

// Headless is a file of which nothing was read, and Read is all that works.
func Headless(r io.ReaderAt, size int64, name string) *File {
	f := &File{Name: name, r: r, size: uint64(max(size, 0))}
	f.left = min(f.size, MostRead/ReadFactor)*ReadFactor + HeaderSize
	return f
}

// New reads the headers of size bytes of r. What is no ELF file, or none of that
// kind, is ENOEXEC.
func New(r io.ReaderAt, size int64, name string, kind Kind) (*File, error) {
	f := Headless(r, size, name)
	f.kind = kind
	steps := []func() error{f.readHeader, f.readProgs, f.readSections}
	if kind == Relocatable {
		steps = []func() error{f.readHeader, f.readSections}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *File) readHeader() error {
	if f.size < HeaderSize {
		return f.Fail("ELF header", 0, f.size, "cut short, length")
	}
	b, err := f.Read("ELF header", 0, HeaderSize)
	if err != nil {
		return err
	}
	if err := Decode(b, &f.Header); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	h := &f.Header
	class, data := elf.Class(h.Ident[elf.EI_CLASS]), elf.Data(h.Ident[elf.EI_DATA])
	typ, machine := elf.Type(h.Type), elf.Machine(h.Machine)
	bad := func(off uint64, format string, args ...any) error {
		return f.Fail("ELF header", off, nil, format, args...)
	}
	switch {
	case class != elf.ELFCLASS64:
		return bad(elf.EI_CLASS, "class is %v, only %v is run", class, elf.ELFCLASS64)
	case data != elf.ELFDATA2LSB:
		return bad(elf.EI_DATA, "data is %v, only %v (little-endian) is run", data, elf.ELFDATA2LSB)
	case machine != elf.EM_AARCH64:
		return bad(0x12, "machine is %v, only %v is run", machine, elf.EM_AARCH64)
	case f.kind == Relocatable && typ != elf.ET_REL:
		return bad(0x10, "type is %v, a kernel module's is ET_REL", typ)
	case typ == elf.ET_REL && f.kind == Linked:
		return bad(0x10, "type is ET_REL: link it first, as an executable (ET_EXEC) or with -shared (ET_DYN)")
	case typ != elf.ET_EXEC && typ != elf.ET_DYN && typ != elf.ET_REL:
		return bad(0x10, "type is %v, only ET_EXEC and ET_DYN are run", typ)
	case h.Phnum != 0 && h.Phentsize != progSize:
		return bad(0x36, "program headers are %d bytes each, not %d", h.Phentsize, progSize)
	case h.Shoff != 0 && h.Shentsize != SectionSize:
		return bad(0x3a, "section headers are %d bytes each, not %d", h.Shentsize, SectionSize)
	}
	return nil
}

func (f *File) readProgs() error {
	b, err := f.Read("program headers", f.Header.Phoff, uint64(f.Header.Phnum)*progSize)
	if err != nil {
		return err
	}
	f.Progs = make([]elf.Prog64, f.Header.Phnum)
	return Decode(b, f.Progs)
}

func (f *File) readSections() error {
	h := &f.Header
	if h.Shoff == 0 {
		return nil
	}
	// Section 0 holds the numbers that do not fit into the header.
	count, names := uint64(h.Shnum), uint64(h.Shstrndx)
	if count == 0 || h.Shstrndx == uint16(elf.SHN_XINDEX) {
		var first elf.Section64
		b, err := f.Read("section headers", h.Shoff, SectionSize)
		if err != nil {
			return err
		}
		if err := Decode(b, &first); err != nil {
			return err
		}
		if count == 0 {
			count = first.Size
		}
		if h.Shstrndx == uint16(elf.SHN_XINDEX) {
			names = uint64(first.Link)
		}
	}
	if count > f.size/SectionSize {
		return f.Fail("section headers", h.Shoff, nil, "%d of them do not fit into the file (%#x bytes)", count, f.size)
	}
	b, err := f.Read("section headers", h.Shoff, count*SectionSize)
	if err != nil {
		return err
	}
	raw := make([]elf.Section64, count)
	if err := Decode(b, raw); err != nil {
		return err
	}
	f.Sections = make([]Section, count)
	for i := range raw {
		f.Sections[i].Section64 = raw[i]
	}
	return f.nameSections(names)
}

func (f *File) nameSections(names uint64) error {
	if names == 0 {
		return nil
	}
	table, err := f.StringTable(names, "section names")
	if err != nil {
		return err
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Name, err = f.Str(table, uint64(s.Section64.Name), "section names"); err != nil {
			return err
		}
	}
	return nil
}

// StringTable reads the section with the given index as one string, of which
// every name is a part, so that names cost no memory of their own.
func (f *File) StringTable(index uint64, what string) (string, error) {
	if index >= uint64(len(f.Sections)) {
		return "", f.Fail(what, 0, nil, "are in section %d of %d", index, len(f.Sections))
	}
	s := &f.Sections[index]
	if elf.SectionType(s.Type) != elf.SHT_STRTAB {
		return "", f.Fail(what, s.Off, nil, "section %d is %v, not SHT_STRTAB", index, elf.SectionType(s.Type))
	}
	b, err := f.Read(what, s.Off, s.Size)
	return string(b), err
}

// Str returns the name at off of a string table.
func (f *File) Str(table string, off uint64, what string) (string, error) {
	if off == 0 && table == "" {
		return "", nil
	}
	if off >= uint64(len(table)) {
		return "", f.Fail(what, 0, off, "name reaches past the string table (%#x bytes), offset", len(table))
	}
	s := table[off:min(uint64(len(table)), off+MaxName)]
	n := strings.IndexByte(s, 0)
	if n < 0 {
		return "", f.Fail(what, 0, off, "name does not end within %d bytes, offset", len(s))
	}
	return s[:n], nil
}

// Table reads a section that is an array of T, entry bytes each.
func Table[T any](f *File, s *Section, entry uint64) ([]T, error) {
	if s.Entsize != entry || s.Size%entry != 0 {
		return nil, f.Fail(s.Name, s.Off, nil, "%#x bytes in entries of %d, expected entries of %d", s.Size, s.Entsize, entry)
	}
	b, err := f.Read(s.Name, s.Off, s.Size)
	if err != nil {
		return nil, err
	}
	t := make([]T, s.Size/entry)
	return t, Decode(b, t)
}

// SectionsOf returns the sections of a type.
func (f *File) SectionsOf(t elf.SectionType) []*Section {
	var found []*Section
	for i := range f.Sections {
		if elf.SectionType(f.Sections[i].Type) == t {
			found = append(found, &f.Sections[i])
		}
	}
	return found
}
