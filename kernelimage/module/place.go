package module

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage"
	"callops/kernelimage/internal/elffile"
)

// partOf returns the part that a section goes to (layout_sections).
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
func (l *loading) place() error {
	var sizes [koParts]uint64
	for part := range koParts {
		for i := range l.File.Sections {
			s := &l.File.Sections[i]
			if partOf(s) != part {
				continue
			}
			align := max(s.Addralign, 1)
			if align > l.host.Image.PageSize() || align&(align-1) != 0 {
				return l.Fail(s.Name, s.Off, align, "is not a valid section alignment")
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
	if l.has(koSites) {
		ftracePLT = (sizes[koText] + 15) &^ 15
		sizes[koText] = ftracePLT + FtracePLTs*FtracePLTSize
	}
	if err := l.findRoom(sizes); err != nil {
		return err
	}
	for _, part := range []koPart{koText, koInitText} {
		if s := l.memory[part]; s != nil {
			l.plts[part].addr += s.Start
		}
	}
	if l.has(koSites) {
		l.m.FtracePLT = l.memory[koText].Start + ftracePLT
	}
	if err := l.fill(); err != nil {
		return err
	}
	return l.placePerCPU()
}

func (l *loading) has(section string) bool {
	return slices.ContainsFunc(l.File.Sections, func(s elffile.Section) bool {
		return s.Name == section && s.Size > 0 && elf.SectionFlag(s.Flags)&elf.SHF_ALLOC != 0
	})
}

// findRoom gives each part its pages.
func (l *loading) findRoom(sizes [koParts]uint64) error {
	var segments []kernelimage.Segment
	var total uint64
	for part, size := range sizes {
		if size == 0 {
			continue
		}
		if size > maxModule-total {
			return l.Fail("section headers", l.Header.Shoff, nil, "the module would take more than %#x bytes", maxModule)
		}
		p := koPart(part)
		segments = append(segments, kernelimage.Segment{Name: p.String(), Addr: total, MemSize: l.pages(size), Perm: p.perm()})
		total += l.pages(size)
	}
	if total == 0 {
		return l.Fail("section headers", l.Header.Shoff, nil, "no section is loaded")
	}
	base, err := l.host.Room(segments)
	if err != nil {
		return fmt.Errorf("module %s: %w", l.m.Name, err)
	}
	l.base = base
	next := 0
	for part, size := range sizes {
		if size == 0 {
			continue
		}
		s := &segments[next]
		m := &koMemory{kernelimage.Range{Start: base + s.Addr, End: base + s.End()}, make([]byte, s.MemSize)}
		l.memory[part] = m
		l.parts.Segments = append(l.parts.Segments, kernelimage.NewSegment(s.Name, m.Start, m.data, s.MemSize, s.Perm))
		next++
	}
	return nil
}

// pages rounds n up to whole pages of the kernel's.
func (l *loading) pages(n uint64) uint64 {
	size := l.host.Image.PageSize()
	return (n + size - 1) &^ (size - 1)
}

// fill reads the sections into their parts.
func (l *loading) fill() error {
	for i := range l.sections {
		s := &l.sections[i]
		if !s.ok {
			continue
		}
		header := &l.File.Sections[i]
		off := s.addr
		part := l.memory[s.part]
		if part == nil { // an empty section of an empty part
			s.addr = l.base
			continue
		}
		s.addr += part.Start
		s.data = part.data[off : off+header.Size : off+header.Size]
		if elf.SectionType(header.Type) == elf.SHT_NOBITS {
			continue
		}
		b, err := l.Read(header.Name, header.Off, header.Size)
		if err != nil {
			return err
		}
		copy(s.data, b)
		if header.Name == koThisModule {
			l.m.This = kernelimage.Range{Start: s.addr, End: s.addr + header.Size}
		}
		if header.Flags&uint64(elf.SHF_EXECINSTR) != 0 && header.Size > 0 {
			l.parts.Text = append(l.parts.Text, kernelimage.Range{Start: s.addr, End: s.addr + header.Size})
		}
	}
	slices.SortFunc(l.parts.Text, func(a, b kernelimage.Range) int { return cmp.Compare(a.Start, b.Start) })
	return nil
}

// placePerCPU gives the per-CPU variables room in each CPU's area
// (percpu_modalloc).
func (l *loading) placePerCPU() error {
	for i := range l.File.Sections {
		s := &l.File.Sections[i]
		if s.Name != koPerCPU || s.Size == 0 {
			continue
		}
		align := max(s.Addralign, 1)
		if align > l.host.Image.PageSize() || align&(align-1) != 0 {
			return l.Fail(s.Name, s.Off, align, "is not a valid section alignment")
		}
		room := l.host.PerCPU
		at := (room.Start + align - 1) &^ (align - 1)
		if at > room.End || s.Size > room.End-at || l.m.PerCPU.End != 0 {
			return &kernelimage.FormatError{
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
		l.m.PerCPU, l.m.PerCPUData = kernelimage.Range{Start: at, End: at + s.Size}, data
		l.sections[i] = koSection{part: notLoaded, addr: at, data: data, ok: true}
	}
	return nil
}
