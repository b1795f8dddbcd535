package gdb

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"path"
	"slices"
	"strings"

	"callops/emu"
	"callops/kernel"
)

// symbolFileName is the name by which the debugger opens the file of symbols.
func (s *Stub) symbolFileName() string {
	name := path.Base(strings.ReplaceAll(s.m.Kernel.Image.Name(), `\`, "/"))
	return "/callops/" + strings.TrimSuffix(strings.Map(printable, name), ".elf") + ".elf"
}

// symbolFile is an ELF file with the symbols of a kernel, its modules', ftrace's code and the gates. Its sections are what is mapped, without contents. Its entry is where the
// calls of Go code return to, which ends a backtrace.
func symbolFile(k *kernel.Kernel) []byte {
	sections := ranges(k.Mem)
	names, table := &stringTable{}, symbolTable{sections: sections}
	table.add(0, 0, 0, false)
	for _, sym := range k.Symbols.All() {
		table.add(names.add(sym.Name), sym.Addr, sym.Size, sym.Func)
	}
	for addr := uint64(emu.GateBase); ; addr += gateStep {
		name, ok := k.Gates.Name(addr)
		if !ok {
			break
		}
		start, size := addr, uint64(gateStep)
		if addr == emu.ReturnGate {
			start, size = gates.start, size+emu.ReturnGate-gates.start
		}
		table.add(names.add(name), start, size, true)
	}
	table.add(names.add("callops_core"), coreGate, gateStep, true)
	return elfFile(sections, table.bytes, names.Bytes())
}

const (
	gateStep = 16 // between two gates

	// coreGate is where operations of ftrace's core are said to be: no gate.
	coreGate = emu.GateBase + emu.GateSize - gateStep
)

// symbolTable is a section of Elf64_Syms. A kernel has a fifth of a million of them, and the debugger
// does not wait long.
type symbolTable struct {
	bytes    []byte
	sections []span // in address order, the first of which has the index 1
	last     int    // the section that the symbol before is in
}

const symbolSize = 24

func (t *symbolTable) add(name uint32, addr, size uint64, function bool) {
	kind, at := elf.STT_OBJECT, elf.SHN_ABS
	if function {
		kind = elf.STT_FUNC
	}
	if r := t.sections[t.last]; addr-r.start >= r.size {
		after, _ := slices.BinarySearchFunc(t.sections, addr, func(r span, addr uint64) int { return cmp.Compare(r.start, addr+1) })
		t.last = max(after-1, 0)
	}
	if r := t.sections[t.last]; addr-r.start < r.size {
		at = elf.SectionIndex(t.last + 1)
	}
	if len(t.bytes) == 0 {
		kind, at = elf.STT_NOTYPE, elf.SHN_UNDEF // the first is none
	}
	b := binary.LittleEndian.AppendUint32(t.bytes, name)
	b = append(b, elf.ST_INFO(elf.STB_GLOBAL, kind), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(at))
	b = binary.LittleEndian.AppendUint64(b, addr)
	t.bytes = binary.LittleEndian.AppendUint64(b, size)
}

// stringTable is a section of NUL-terminated strings.
type stringTable struct{ bytes.Buffer }

func (t *stringTable) add(s string) uint32 {
	if t.Len() == 0 {
		t.WriteByte(0)
	}
	at := t.Len()
	t.WriteString(s)
	t.WriteByte(0)
	return uint32(at)
}

// debugFrame is DWARF's .debug_frame for functions without a caller.
func debugFrame(functions ...span) []byte {
	const sp, lr = 31, 30
	b := []byte{
		16, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, // length, CIE
		1, 0, 1, 0x7c, lr, // version, no augmentation, alignment of code and data, the column of the return address
		0x0c, sp, 0, // DW_CFA_def_cfa: sp + 0
		0, 0, 0, 0, // DW_CFA_nop
	}
	for _, f := range functions {
		b = binary.LittleEndian.AppendUint32(b, 24)
		b = binary.LittleEndian.AppendUint32(b, 0) // of the CIE above
		b = binary.LittleEndian.AppendUint64(b, f.start)
		b = binary.LittleEndian.AppendUint64(b, f.size)
		b = append(b, 0x07, lr, 0, 0) // DW_CFA_undefined
	}
	return b
}

// elfFile is an executable of such sections, symbols and their names.
func elfFile(sections []span, table, names []byte) []byte {
	const headerSize, sectionSize = 64, 64
	titles := &stringTable{}
	list := []elf.Section64{{}}
	for _, r := range sections {
		flags := elf.SHF_ALLOC
		if r.perm&emu.Exec != 0 {
			flags |= elf.SHF_EXECINSTR
		}
		if r.perm&emu.Write != 0 {
			flags |= elf.SHF_WRITE
		}
		list = append(list, elf.Section64{
			Name: titles.add("." + r.name), Type: uint32(elf.SHT_NOBITS), Flags: uint64(flags), Addr: r.start, Off: headerSize, Size: r.size, Addralign: emu.PageSize,
		})
	}
	at := uint64(headerSize)
	add := func(s elf.Section64, size int) {
		s.Off, s.Size = at, uint64(size)
		list = append(list, s)
		at += s.Size
	}
	frames := debugFrame(span{start: gates.start, size: emu.ReturnGate + gateStep - gates.start}, span{start: coreGate, size: gateStep})
	add(elf.Section64{Name: titles.add(".debug_frame"), Type: uint32(elf.SHT_PROGBITS), Addralign: 8}, len(frames))
	strtab := uint32(len(list) + 1)
	add(elf.Section64{Name: titles.add(".symtab"), Type: uint32(elf.SHT_SYMTAB), Link: strtab, Info: 1, Entsize: symbolSize, Addralign: 8}, len(table))
	add(elf.Section64{Name: titles.add(".strtab"), Type: uint32(elf.SHT_STRTAB), Addralign: 1}, len(names))
	title := titles.add(".shstrtab")
	add(elf.Section64{Name: title, Type: uint32(elf.SHT_STRTAB), Addralign: 1}, titles.Len())
	pad := -at & 7

	var b bytes.Buffer
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT), Entry: gates.start,
		Shoff: at + pad, Ehsize: headerSize, Shentsize: sectionSize, Shnum: uint16(len(list)), Shstrndx: uint16(len(list) - 1),
	}
	copy(h.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)})
	for _, part := range []any{&h, frames, table, names, titles.Bytes(), make([]byte, pad), list} {
		_ = binary.Write(&b, binary.LittleEndian, part) // a Buffer takes everything of fixed size
	}
	return b.Bytes()
}
