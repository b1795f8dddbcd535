package module

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage"
	"callops/kernelimage/internal/elffile"
	"callops/kernelimage/internal/ksymtab"
)

// symbols makes the module's symbols, as module_kallsyms has them, and its
// exports.
func (l *loading) symbols() error {
	type ranked struct {
		kernelimage.Symbol
		rank int
	}
	var syms []ranked
	for i, s := range l.syms {
		name, err := l.Str(l.names, uint64(s.Name), l.symtab.Name)
		if err != nil {
			return err
		}
		typ := elf.ST_TYPE(s.Info)
		if !elffile.Named(name) || int(s.Shndx) >= len(l.sections) || typ == elf.STT_SECTION || typ == elf.STT_FILE {
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
		sym := kernelimage.Symbol{Name: name, Addr: l.value[i], Size: s.Size, Func: typ == elf.STT_FUNC, Module: l.m.Name}
		syms = append(syms, ranked{sym, elffile.SymbolRank(name, elf.ST_BIND(s.Info))})
	}
	slices.SortStableFunc(syms, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.rank, b.rank)) })
	for _, s := range syms {
		l.parts.Symbols = append(l.parts.Symbols, s.Symbol)
	}
	return nil
}

// exports reads what the module lists for others (verify_exported_symbols).
func (l *loading) exports() error {
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
		if size := uint64(len(sec.data)); !ok || size < ksymtab.Size || s.Value > size-ksymtab.Size {
			continue
		}
		if have, ok := l.host.Exports[name]; ok {
			return &kernelimage.FormatError{
				File: l.File.Name, Section: list, Errno: errno.ENOEXEC,
				Msg: fmt.Sprintf("exports %s, which %s does too", name, have.ownerName()),
			}
		}
		entry := ksymtab.Decode(sec.data[s.Value:], sec.addr+s.Value)
		space, _ := ksymtab.Text(l.tail(entry.Space))
		e := Export{Addr: entry.Addr, Module: l.m.Name, Namespace: string(space)}
		if at := s.Value / ksymtab.Size * ksymtab.CRCSize; at+ksymtab.CRCSize <= uint64(len(crcs)) {
			e.CRC, e.Versioned = binary.LittleEndian.Uint32(crcs[at:]), true
		}
		l.m.Exports[name] = e
	}
	return nil
}

// tail returns the module's memory from addr on, up to the end of its part.
func (l *loading) tail(addr uint64) []byte {
	for _, m := range l.memory {
		if m != nil && m.Contains(addr) {
			return m.data[addr-m.Start:]
		}
	}
	return nil
}

// loadedSection returns what is in memory of the first section of that name.
func (l *loading) loadedSection(name string) []byte {
	i := slices.IndexFunc(l.File.Sections, func(s elffile.Section) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return l.sections[i].data
}

// types keeps the module's BTF, for its prototypes.
func (l *loading) types() error {
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
			l.parts.BTF = b
		} else {
			l.parts.BTFBase = b
		}
	}
	return nil
}

// sites checks the call sites that the compiler listed, and puts those aside
// whose code is freed.
func (l *loading) sites() error {
	var entries []uint64
	for i := range l.sections {
		s := &l.sections[i]
		if l.File.Sections[i].Name != koSites || !s.ok {
			continue
		}
		if l.m.Listed.End == 0 {
			l.m.Listed = kernelimage.Range{Start: s.addr, End: s.addr + uint64(len(s.data))}
		}
		if len(s.data)%8 != 0 {
			return l.Fail(koSites, l.File.Sections[i].Off, len(s.data), "is not a list of addresses, size")
		}
		for at := 0; at < len(s.data); at += 8 {
			if e := binary.LittleEndian.Uint64(s.data[at:]); e != 0 {
				entries = append(entries, e)
			}
		}
	}
	p := &l.parts
	if err := p.FindSites(entries); err != nil {
		return err
	}
	if len(entries) > 0 && p.CallOps != l.host.Image.CallOps() {
		return &kernelimage.FormatError{
			File: l.File.Name, Section: koSites, Errno: errno.ENOEXEC,
			Msg: fmt.Sprintf("call sites with literals: %v, in the kernel: %v", p.CallOps, l.host.Image.CallOps()),
		}
	}
	all := p.Sites
	p.Sites = nil
	for _, s := range all {
		if init := l.memory[koInitText]; init != nil && init.Contains(s.IP) {
			l.m.InitSites = append(l.m.InitSites, s)
		} else {
			p.Sites = append(p.Sites, s)
		}
	}
	if len(p.Sites) == 0 {
		l.m.FtracePLT = 0
	}
	return nil
}
