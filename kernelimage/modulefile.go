package kernelimage

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage/internal/elffile"
)

// Sections that the loader treats on their own.
const (
	koModinfo    = ".modinfo"
	koVersions   = "__versions"
	koPerCPU     = ".data..percpu"
	koThisModule = ".gnu.linkonce.this_module"
)

// koRooms are sections without content, for what the loader makes.
var koRooms = []string{".plt", ".init.plt", ".text.ftrace_trampoline", ".init.text.ftrace_trampoline"}

// koPart is one of the pieces of memory that a module has (enum mod_mem_type).
type koPart int

const (
	koText koPart = iota
	koRodata
	koData // also what is read-only once init has run
	koInitText
	koInitRodata
	koInitData
	koParts

	notLoaded koPart = -1
)

func (p koPart) String() string {
	return [...]string{"text", "rodata", "data", "init text", "init rodata", "init data"}[p]
}

func (p koPart) init() bool { return p >= koInitText }

func (p koPart) perm() emu.Perm {
	switch p {
	case koText, koInitText:
		return emu.Read | emu.Exec
	case koRodata, koInitRodata:
		return emu.Read
	}
	return emu.Read | emu.Write
}

// maxModule bounds what a module takes up in memory.
const maxModule = 64 << 20 // Linux has room for 2 GiB of all modules; the largest have some 20 MiB

// koLoad is a module being linked.
type koLoad struct {
	*elffile.File
	host *Host
	m    *Module

	symtab   *elffile.Section
	syms     []elf.Sym64
	names    string
	info     moduleInfo
	value    []uint64 // address of each symbol
	sections []koSection
	parts    [koParts]*Segment
	plts     [koParts]koPLT // of text and init text
	base     uint64
}

// koSection is where a section goes; addr is an offset in its part until the
// module is placed.
type koSection struct {
	part koPart
	addr uint64
	data []byte // what is in memory
	ok   bool   // addr means something: loaded, or per-CPU
}

func newKoLoad(file []byte, name string) (*koLoad, error) {
	if magic := file[:min(len(file), len(elf.ELFMAG))]; len(magic) > 0 && string(magic) != elf.ELFMAG {
		return nil, &FormatError{File: name, Msg: "is no ELF file: it starts with", Value: fmt.Sprintf("%q", magic), Errno: errno.ENOEXEC}
	}
	f, err := elffile.New(bytes.NewReader(file), int64(len(file)), name, elffile.Relocatable)
	if err != nil {
		return nil, err
	}
	l := &koLoad{File: f, m: &Module{Image: &Image{}}}
	l.sections = make([]koSection, len(f.Sections))
	return l, nil
}

// tables reads the symbol table.
func (l *koLoad) tables() error {
	if n := len(l.sections); n >= int(elf.SHN_LORESERVE) { // an index then means something else
		return l.Fail("section headers", l.Header.Shoff, n, "more sections than a module may have")
	}
	tables := l.SectionsOf(elf.SHT_SYMTAB)
	if len(tables) != 1 {
		return l.Fail("section headers", l.Header.Shoff, nil, "%d symbol tables, a module has one", len(tables))
	}
	l.symtab = tables[0]
	var err error
	if l.syms, err = elffile.Table[elf.Sym64](l.File, l.symtab, elffile.SymSize); err != nil {
		return err
	}
	l.names, err = l.StringTable(uint64(l.symtab.Link), "names of "+l.symtab.Name)
	return err
}

// modinfo names the module.
func (l *koLoad) modinfo() error {
	if !slices.ContainsFunc(l.File.Sections, func(s elffile.Section) bool { return s.Name == koThisModule }) {
		return l.Fail("section headers", l.Header.Shoff, nil, "no section %s: the file is no kernel module", koThisModule)
	}
	name, err := l.readInfo()
	if err != nil {
		return err
	}
	if !isModuleName(name) {
		return &FormatError{File: l.File.Name, Section: koModinfo, Msg: "is no name of a module", Value: fmt.Sprintf("%.*q", maxModuleName, name), Errno: errno.ENOEXEC}
	}
	l.m.Name, l.m.Image.Name = name, name
	return nil
}

// admit checks that the module may be loaded here.
func (l *koLoad) admit() error {
	if err := l.checkKernel(); err != nil {
		return err
	}
	if l.host.Loaded(l.m.Name) {
		return &FormatError{File: l.File.Name, Msg: fmt.Sprintf("a module %s is loaded already", l.m.Name), Errno: errno.EEXIST}
	}
	return nil
}

// maxModuleName is MODULE_NAME_LEN without the NUL.
const maxModuleName = 55

// isModuleName refuses names that could not stand in "name [module]" and
// "module:name".
func isModuleName(name string) bool {
	return name != "" && len(name) <= maxModuleName && strings.IndexFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(":[]", r)
	}) < 0
}

// partOf says where a section goes (layout_sections).
func partOf(s *elffile.Section) koPart {
	flags := elf.SectionFlag(s.Flags)
	if flags&elf.SHF_ALLOC == 0 || s.Name == koModinfo || s.Name == koVersions || s.Name == koPerCPU || slices.Contains(koRooms, s.Name) {
		return notLoaded
	}
	p := koRodata
	switch {
	case flags&elf.SHF_EXECINSTR != 0:
		p = koText
	case flags&elf.SHF_WRITE != 0 || s.Name == ".data..ro_after_init":
		p = koData
	}
	if strings.HasPrefix(s.Name, ".init") {
		p += koInitText
	}
	return p
}

// place lays the sections out and reads them.
func (l *koLoad) place() error {
	var sizes [koParts]uint64
	for part := range koParts {
		for i := range l.File.Sections {
			s := &l.File.Sections[i]
			if partOf(s) != part {
				continue
			}
			align := max(s.Addralign, 1)
			if align > l.host.Image.PageSize() || align&(align-1) != 0 {
				return l.Fail(s.Name, s.Off, align, "is no alignment of a section")
			}
			at := (sizes[part] + align - 1) &^ (align - 1)
			if s.Size > maxModule || at > maxModule-s.Size {
				return l.Fail(s.Name, s.Off, s.Size, "the module would take more than %#x bytes, size", maxModule)
			}
			l.sections[i] = koSection{part: part, addr: at, ok: true}
			sizes[part] = at + s.Size
		}
	}
	for i := range l.File.Sections {
		if !l.sections[i].ok {
			l.sections[i].part = notLoaded
		}
	}
	if err := l.countPLTs(); err != nil {
		return err
	}
	ftracePLT := uint64(0)
	for _, part := range []koPart{koText, koInitText} {
		p := &l.plts[part]
		p.addr = (sizes[part] + 15) &^ 15
		if p.room > 0 {
			sizes[part] = p.addr + uint64(p.room)*pltSize
		}
	}
	if l.has(entriesSection) {
		ftracePLT = (sizes[koText] + 15) &^ 15
		sizes[koText] = ftracePLT + FtracePLTSize
	}
	if err := l.findRoom(sizes); err != nil {
		return err
	}
	for _, part := range []koPart{koText, koInitText} {
		if s := l.parts[part]; s != nil {
			l.plts[part].addr += s.Addr
		}
	}
	if l.has(entriesSection) {
		l.m.FtracePLT = l.parts[koText].Addr + ftracePLT
	}
	if err := l.fill(); err != nil {
		return err
	}
	return l.placePerCPU()
}

func (l *koLoad) has(section string) bool {
	return slices.ContainsFunc(l.File.Sections, func(s elffile.Section) bool {
		return s.Name == section && s.Size > 0 && elf.SectionFlag(s.Flags)&elf.SHF_ALLOC != 0
	})
}

// findRoom gives each part its pages.
func (l *koLoad) findRoom(sizes [koParts]uint64) error {
	var segments []Segment
	var total uint64
	for part, size := range sizes {
		if size == 0 {
			continue
		}
		if size > maxModule-total {
			return l.Fail("section headers", l.Header.Shoff, nil, "the module would take more than %#x bytes", maxModule)
		}
		p := koPart(part)
		segments = append(segments, Segment{Name: p.String(), Addr: total, MemSize: alignUp(size, l.host.Image.PageSize()), Perm: p.perm()})
		total += alignUp(size, l.host.Image.PageSize())
	}
	if total == 0 {
		return l.Fail("section headers", l.Header.Shoff, nil, "no section is loaded")
	}
	base, err := l.host.Room(segments)
	if err != nil {
		return fmt.Errorf("module %s: %w", l.m.Name, err)
	}
	l.base = base
	for i := range segments {
		segments[i].Addr += base
		segments[i].Data = make([]byte, segments[i].MemSize)
	}
	l.m.Image.Segments = segments
	next := 0
	for part, size := range sizes {
		if size > 0 {
			l.parts[part] = &segments[next]
			next++
		}
	}
	return nil
}

// fill reads the sections into their parts.
func (l *koLoad) fill() error {
	for i := range l.sections {
		s := &l.sections[i]
		if !s.ok {
			continue
		}
		header := &l.File.Sections[i]
		off := s.addr
		part := l.parts[s.part]
		if part == nil { // an empty section of an empty part
			s.addr = l.base
			continue
		}
		s.addr += part.Addr
		s.data = part.Data[off : off+header.Size : off+header.Size]
		if elf.SectionType(header.Type) == elf.SHT_NOBITS {
			continue
		}
		b, err := l.Read(header.Name, header.Off, header.Size)
		if err != nil {
			return err
		}
		copy(s.data, b)
		if header.Flags&uint64(elf.SHF_EXECINSTR) != 0 && header.Size > 0 {
			l.m.Image.Text = append(l.m.Image.Text, Range{s.addr, s.addr + header.Size})
		}
	}
	slices.SortFunc(l.m.Image.Text, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	return nil
}

// placePerCPU gives the per-CPU variables room in each CPU's area
// (percpu_modalloc).
func (l *koLoad) placePerCPU() error {
	for i := range l.File.Sections {
		s := &l.File.Sections[i]
		if s.Name != koPerCPU || s.Size == 0 {
			continue
		}
		align := max(s.Addralign, 1)
		if align > l.host.Image.PageSize() || align&(align-1) != 0 {
			return l.Fail(s.Name, s.Off, align, "is no alignment of a section")
		}
		room := l.host.PerCPU
		at := (room.Start + align - 1) &^ (align - 1)
		if at > room.End || s.Size > room.End-at || l.m.PerCPU.End != 0 {
			return &FormatError{
				File: l.File.Name, Section: s.Name, Offset: s.Off, Errno: errno.ENOMEM,
				Msg: fmt.Sprintf("%#x bytes of per-CPU variables: %#x are left for modules", s.Size, room.End-min(at, room.End)),
			}
		}
		var data []byte
		if elf.SectionType(s.Type) != elf.SHT_NOBITS {
			b, err := l.Read(s.Name, s.Off, s.Size)
			if err != nil {
				return err
			}
			data = b
		} else {
			data = make([]byte, s.Size)
		}
		l.m.PerCPU, l.m.PerCPUData = Range{at, at + s.Size}, data
		l.sections[i] = koSection{part: notLoaded, addr: at, data: data, ok: true}
	}
	return nil
}

// symbols makes the module's symbols, as module_kallsyms has them, and its
// exports.
func (l *koLoad) symbols() error {
	var syms []elfSym
	for i, s := range l.syms {
		name, err := l.Str(l.names, uint64(s.Name), l.symtab.Name)
		if err != nil {
			return err
		}
		typ := elf.ST_TYPE(s.Info)
		if !named(name) || int(s.Shndx) >= len(l.sections) || typ == elf.STT_SECTION || typ == elf.STT_FILE {
			continue
		}
		if sec := &l.sections[s.Shndx]; sec.part == notLoaded || !sec.ok || s.Value > l.File.Sections[s.Shndx].Size {
			continue
		}
		switch name {
		case "init_module":
			l.m.Init = l.value[i]
		case "cleanup_module":
			l.m.Exit = l.value[i]
		}
		sym := Symbol{Name: name, Addr: l.value[i], Size: s.Size, Func: typ == elf.STT_FUNC, Module: l.m.Name}
		syms = append(syms, elfSym{sym, symbolRank(name, elf.ST_BIND(s.Info))})
	}
	slices.SortStableFunc(syms, func(a, b elfSym) int { return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.rank, b.rank)) })
	for _, s := range syms {
		l.m.Image.Symbols = append(l.m.Image.Symbols, s.Symbol)
	}
	return nil
}

// exports reads what the module lists for others (verify_exported_symbols).
func (l *koLoad) exports() error {
	const mark = "__ksymtab_"
	versions := map[string][]byte{
		"__ksymtab":     l.loadedSection("__kcrctab"),
		"__ksymtab_gpl": l.loadedSection("__kcrctab_gpl"),
	}
	l.m.Exports = make(map[string]Export)
	for _, s := range l.syms {
		symbol, err := l.Str(l.names, uint64(s.Name), l.symtab.Name)
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(symbol, mark)
		if !ok || int(s.Shndx) >= len(l.sections) {
			continue
		}
		sec, list := &l.sections[s.Shndx], l.File.Sections[s.Shndx].Name
		crcs, ok := versions[list]
		if size := uint64(len(sec.data)); !ok || size < ksymSize || s.Value > size-ksymSize {
			continue
		}
		if have, ok := l.host.Exports[name]; ok {
			return &FormatError{
				File: l.File.Name, Section: list, Errno: errno.ENOEXEC,
				Msg: fmt.Sprintf("exports %s, which %s does too", name, have.ownerName()),
			}
		}
		entry, addr := sec.data[s.Value:], sec.addr+s.Value
		e := Export{Addr: relative(entry, addr, 0), Module: l.m.Name}
		if u32At(entry, ksymSpaceAt) != 0 {
			space, _ := l.m.Image.text(relative(entry, addr, ksymSpaceAt))
			e.Namespace = string(space)
		}
		if at := s.Value / ksymSize * crcSize; at+crcSize <= uint64(len(crcs)) {
			e.CRC, e.Versioned = u32At(crcs, int(at)), true
		}
		l.m.Exports[name] = e
	}
	return nil
}

// loadedSection returns what is in memory of the first section of that name.
func (l *koLoad) loadedSection(name string) []byte {
	i := slices.IndexFunc(l.File.Sections, func(s elffile.Section) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return l.sections[i].data
}

// types keeps the module's BTF for [Module.Prototype].
func (l *koLoad) types() error {
	for i := range l.File.Sections {
		s := &l.File.Sections[i]
		if s.Name != ".BTF" && s.Name != ".BTF.base" || elf.SectionType(s.Type) == elf.SHT_NOBITS {
			continue
		}
		b, err := l.Read(s.Name, s.Off, s.Size)
		if err != nil {
			return err
		}
		if s.Name == ".BTF" {
			l.m.btf = b
		} else {
			l.m.btfBase = b
		}
	}
	return nil
}

// sites checks the call sites that the compiler listed, and puts those aside
// whose code is freed.
func (l *koLoad) sites() error {
	var entries []uint64
	for i := range l.sections {
		s := &l.sections[i]
		if l.File.Sections[i].Name != entriesSection || !s.ok {
			continue
		}
		if len(s.data)%8 != 0 {
			return l.Fail(entriesSection, l.File.Sections[i].Off, len(s.data), "is no list of addresses, size")
		}
		for at := 0; at < len(s.data); at += 8 {
			if e := u64At(s.data, at); e != 0 {
				entries = append(entries, e)
			}
		}
	}
	img := l.m.Image
	if err := img.setSites(entries); err != nil {
		return err
	}
	if len(entries) > 0 && img.CallOps != l.host.Image.CallOps {
		return &FormatError{
			File: l.File.Name, Section: entriesSection, Errno: errno.ENOEXEC,
			Msg: fmt.Sprintf("call sites with literals: %v, in the kernel: %v", img.CallOps, l.host.Image.CallOps),
		}
	}
	all := img.Sites
	img.Sites = nil
	for _, s := range all {
		if init := l.parts[koInitText]; init != nil && s.IP >= init.Addr && s.IP < init.End() {
			l.m.InitSites = append(l.m.InitSites, s)
		} else {
			img.Sites = append(img.Sites, s)
		}
	}
	if len(img.Sites) == 0 {
		l.m.FtracePLT = 0
	}
	return nil
}
