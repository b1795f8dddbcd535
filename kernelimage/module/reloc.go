package module

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"callops/asm"
	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernelimage"
	"callops/kernelimage/internal/elffile"
)

// Relocations that debug/elf has no name for.
const (
	relMovwPrelG0   = elf.R_AARCH64(287)
	relMovwPrelG0NC = elf.R_AARCH64(288)
	relMovwPrelG1   = elf.R_AARCH64(289)
	relMovwPrelG1NC = elf.R_AARCH64(290)
	relMovwPrelG2   = elf.R_AARCH64(291)
	relMovwPrelG2NC = elf.R_AARCH64(292)
	relMovwPrelG3   = elf.R_AARCH64(293)
)

// relForm is what a relocation changes.
type relForm uint8

const (
	relData  relForm = iota // bits of data
	relField                // bits of an instruction, from bit at on
	relAdr                  // immhi:immlo of ADR and ADRP
	relMovw                 // imm16 of MOVZ and MOVK
	relMovnz                // imm16, and MOVZ or MOVN by the sign
)

// relOp is what is put there.
type relOp uint8

const (
	relAbs  relOp = iota // S+A
	relPrel              // S+A-P
	relPage              // Page(S+A)-Page(P)
)

// relocation is one type, as "ELF for the Arm 64-bit Architecture" defines it:
// bits of the value from bit lsb on.
type relocation struct {
	form      relForm
	op        relOp
	lsb, bits uint
	at        uint
	nc        bool // the value may be larger
}

// relocations are all that arch/arm64/kernel/module.c knows.
var relocations = map[elf.R_AARCH64]relocation{
	elf.R_AARCH64_ABS64:               {relData, relAbs, 0, 64, 0, true},
	elf.R_AARCH64_ABS32:               {relData, relAbs, 0, 32, 0, false},
	elf.R_AARCH64_ABS16:               {relData, relAbs, 0, 16, 0, false},
	elf.R_AARCH64_PREL64:              {relData, relPrel, 0, 64, 0, true},
	elf.R_AARCH64_PREL32:              {relData, relPrel, 0, 32, 0, false},
	elf.R_AARCH64_PREL16:              {relData, relPrel, 0, 16, 0, false},
	elf.R_AARCH64_MOVW_UABS_G0:        {relMovw, relAbs, 0, 16, 5, false},
	elf.R_AARCH64_MOVW_UABS_G0_NC:     {relMovw, relAbs, 0, 16, 5, true},
	elf.R_AARCH64_MOVW_UABS_G1:        {relMovw, relAbs, 16, 16, 5, false},
	elf.R_AARCH64_MOVW_UABS_G1_NC:     {relMovw, relAbs, 16, 16, 5, true},
	elf.R_AARCH64_MOVW_UABS_G2:        {relMovw, relAbs, 32, 16, 5, false},
	elf.R_AARCH64_MOVW_UABS_G2_NC:     {relMovw, relAbs, 32, 16, 5, true},
	elf.R_AARCH64_MOVW_UABS_G3:        {relMovw, relAbs, 48, 16, 5, true},
	elf.R_AARCH64_MOVW_SABS_G0:        {relMovnz, relAbs, 0, 16, 5, false},
	elf.R_AARCH64_MOVW_SABS_G1:        {relMovnz, relAbs, 16, 16, 5, false},
	elf.R_AARCH64_MOVW_SABS_G2:        {relMovnz, relAbs, 32, 16, 5, false},
	relMovwPrelG0:                     {relMovnz, relPrel, 0, 16, 5, false},
	relMovwPrelG0NC:                   {relMovw, relPrel, 0, 16, 5, true},
	relMovwPrelG1:                     {relMovnz, relPrel, 16, 16, 5, false},
	relMovwPrelG1NC:                   {relMovw, relPrel, 16, 16, 5, true},
	relMovwPrelG2:                     {relMovnz, relPrel, 32, 16, 5, false},
	relMovwPrelG2NC:                   {relMovw, relPrel, 32, 16, 5, true},
	relMovwPrelG3:                     {relMovnz, relPrel, 48, 16, 5, true},
	elf.R_AARCH64_LD_PREL_LO19:        {relField, relPrel, 2, 19, 5, false},
	elf.R_AARCH64_ADR_PREL_LO21:       {relAdr, relPrel, 0, 21, 0, false},
	elf.R_AARCH64_ADR_PREL_PG_HI21:    {relAdr, relPage, 12, 21, 0, false},
	elf.R_AARCH64_ADR_PREL_PG_HI21_NC: {relAdr, relPage, 12, 21, 0, true},
	elf.R_AARCH64_ADD_ABS_LO12_NC:     {relField, relAbs, 0, 12, 10, true},
	elf.R_AARCH64_LDST8_ABS_LO12_NC:   {relField, relAbs, 0, 12, 10, true},
	elf.R_AARCH64_LDST16_ABS_LO12_NC:  {relField, relAbs, 1, 11, 10, true},
	elf.R_AARCH64_LDST32_ABS_LO12_NC:  {relField, relAbs, 2, 10, 10, true},
	elf.R_AARCH64_LDST64_ABS_LO12_NC:  {relField, relAbs, 3, 9, 10, true},
	elf.R_AARCH64_LDST128_ABS_LO12_NC: {relField, relAbs, 4, 8, 10, true},
	elf.R_AARCH64_TSTBR14:             {relField, relPrel, 2, 14, 5, false},
	elf.R_AARCH64_CONDBR19:            {relField, relPrel, 2, 19, 5, false},
	elf.R_AARCH64_JUMP26:              {relField, relPrel, 2, 26, 0, false},
	elf.R_AARCH64_CALL26:              {relField, relPrel, 2, 26, 0, false},
}

// size is how many bytes are changed.
func (r relocation) size() uint64 {
	if r.form == relData {
		return uint64(r.bits / 8)
	}
	return 4
}

// apply changes b, which lies at address p, for the value s+a. It reports
// whether the value fits.
func (r relocation) apply(b []byte, sa, p uint64) bool {
	v := int64(sa)
	switch r.op {
	case relPrel:
		v = int64(sa - p)
	case relPage:
		v = int64(sa&^0xfff - p&^0xfff)
	}
	le := binary.LittleEndian
	if r.form == relData {
		switch r.bits {
		case 64:
			le.PutUint64(b, uint64(v))
			return true
		case 32:
			le.PutUint32(b, uint32(v))
		default:
			le.PutUint16(b, uint16(v))
		}
		if r.op == relAbs {
			return uint64(v)>>r.bits == 0
		}
		return fits(v, r.bits)
	}
	w, n := le.Uint32(b), v>>r.lsb
	mask := uint32(1)<<r.bits - 1
	ok := r.nc
	switch r.form {
	case relMovw, relMovnz:
		if r.form == relMovnz {
			w &^= 3 << 29 // MOVN
			if n >= 0 {
				w |= 2 << 29 // MOVZ
			} else {
				n = ^n
			}
		}
		ok = ok || uint64(n)>>16 == 0
		w = w&^(mask<<r.at) | uint32(n)&mask<<r.at
	case relAdr:
		ok = ok || fits(n, r.bits)
		w = w&^(3<<29|0x7ffff<<5) | uint32(n)&3<<29 | uint32(n)>>2&0x7ffff<<5
	default:
		ok = ok || fits(n, r.bits)
		w = w&^(mask<<r.at) | uint32(n)&mask<<r.at
	}
	le.PutUint32(b, w)
	return ok
}

// fits reports whether v is a signed number of so many bits.
func fits(v int64, bits uint) bool {
	v >>= bits - 1
	return v == 0 || v == -1
}

// An entry of a PLT: ADRP, ADD and BR by way of x16, which the linker may use
// (arch/arm64/kernel/module-plts.c, get_plt_entry).
const pltSize = 12

// FtracePLTs is how many branches have room at Module.FtracePLT (NR_FTRACE_PLTS): to ftrace_caller,
// and until 6.2 to ftrace_regs_caller. FtracePLTSize is the size of each.
const (
	FtracePLTs    = 2
	FtracePLTSize = pltSize
)

// PLTEntry returns the words that jump from pc to a target within 4 GiB.
func PLTEntry(pc, target uint64) ([]byte, error) {
	b := asm.NewBuilder()
	b.Emit(asm.LoadAddr(asm.X16, b.Abs("target", target))...)
	b.Emit(asm.Br(asm.X16))
	p, err := b.Assemble(pc)
	if errors.Is(err, asm.ErrRange) {
		return nil, fmt.Errorf("%#x is more than 4 GiB from %#x: %w", target, pc, errno.ERANGE)
	}
	if err != nil {
		return nil, err
	}
	return p.Code, nil
}

// FtracePLTEntries are the words at FtracePLT that lead to ftrace_caller and to
// ftrace_regs_caller, where there is that (0: none); nothing for a module without call sites.
func (m *Module) FtracePLTEntries(caller, regsCaller uint64) (words []byte, err error) {
	if m.FtracePLT == 0 {
		return nil, nil
	}
	for i, target := range []uint64{caller, regsCaller} {
		if target == 0 {
			break
		}
		entry, err := PLTEntry(m.FtracePLT+uint64(i)*FtracePLTSize, target)
		if err != nil {
			return nil, err
		}
		words = append(words, entry...)
	}
	return words, nil
}

// FtracePLTEntry is where FtracePLT has its branch to ftrace_caller, or to
// ftrace_regs_caller; 0 for a module without call sites.
func (m *Module) FtracePLTEntry(regs bool) uint64 {
	if m.FtracePLT == 0 || !regs {
		return m.FtracePLT
	}
	return m.FtracePLT + FtracePLTSize
}

// koPLT is the PLT of a part.
type koPLT struct {
	addr    uint64
	room    int
	entries map[uint64]uint64 // target to entry
}

// relocated calls f for each relocation of what is loaded.
func (l *loading) relocated(f func(sec *koSection, table string, at uint64, r elf.Rela64) error) error {
	for i := range l.File.Sections {
		t := &l.File.Sections[i]
		typ := elf.SectionType(t.Type)
		if typ != elf.SHT_RELA && !elffile.UnreadRelocations(typ) && elf.SectionFlag(t.Flags)&elf.SHF_INFO_LINK == 0 ||
			int(t.Info) >= len(l.sections) || !l.sections[t.Info].ok && !l.isPerCPU(t.Info) {
			continue // not of what is loaded
		}
		if typ != elf.SHT_RELA {
			return l.FailRelocations(t)
		}
		relas, err := elffile.Table[elf.Rela64](l.File, t, elffile.RelaSize)
		if err != nil {
			return err
		}
		for n, r := range relas {
			at := t.Off + uint64(n)*elffile.RelaSize
			if s := elf.R_SYM64(r.Info); uint64(s) >= uint64(len(l.syms)) {
				return l.Fail(t.Name, at, nil, "symbol %d of %d", s, len(l.syms))
			}
			if err := f(&l.sections[t.Info], t.Name, at, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loading) isPerCPU(i uint32) bool { return l.File.Sections[i].Name == koPerCPU }

func isBranch26(r elf.Rela64) bool {
	t := elf.R_AARCH64(elf.R_TYPE64(r.Info))
	return t == elf.R_AARCH64_CALL26 || t == elf.R_AARCH64_JUMP26
}

// countPLTs reserves an entry for each target outside the branch's own section:
// where they lie is not known yet.
func (l *loading) countPLTs() error {
	type target struct {
		sym    uint32
		addend int64
	}
	seen := [koParts]map[target]bool{koText: {}, koInitText: {}}
	err := l.relocated(func(sec *koSection, _ string, _ uint64, r elf.Rela64) error {
		if isBranch26(r) && sec.ok && (sec.part == koText || sec.part == koInitText) {
			if s := l.syms[elf.R_SYM64(r.Info)]; int(s.Shndx) >= len(l.sections) || &l.sections[s.Shndx] != sec {
				seen[sec.part][target{elf.R_SYM64(r.Info), r.Addend}] = true
			}
		}
		return nil
	})
	for part := range seen {
		l.plts[part] = koPLT{room: len(seen[part]), entries: make(map[uint64]uint64)}
	}
	return err
}

// resolve gives each symbol its address (simplify_symbols). All that cannot be
// used are one error.
func (l *loading) resolve() error {
	l.value = make([]uint64, len(l.syms))
	problems := make(map[string][]string)
	for i, s := range l.syms {
		switch n := elf.SectionIndex(s.Shndx); {
		case i == 0:
		case n == elf.SHN_UNDEF:
			name, err := l.Str(l.names, uint64(s.Name), l.symtab.Name)
			if err != nil {
				return err
			}
			e, ok := l.host.Exports[name]
			if !ok && elf.ST_BIND(s.Info) == elf.STB_WEAK {
				continue
			}
			if problem := l.problem(name, e, ok); problem != "" {
				problems[problem] = append(problems[problem], name)
				continue
			}
			l.value[i] = e.Addr
			if e.Module != "" && !slices.Contains(l.m.Uses, e.Module) {
				l.m.Uses = append(l.m.Uses, e.Module)
			}
		case n == elf.SHN_ABS:
			l.value[i] = s.Value
		case n >= elf.SHN_LORESERVE:
			return l.Fail(l.symtab.Name, l.symtab.Off+uint64(i)*elffile.SymSize, nil, "symbol in section %v: build with -fno-common", n)
		case int(n) >= len(l.sections):
			return l.Fail(l.symtab.Name, l.symtab.Off+uint64(i)*elffile.SymSize, nil, "symbol in section %d of %d", n, len(l.sections))
		default:
			l.value[i] = l.sections[n].addr + s.Value
		}
	}
	return l.unusable(problems)
}

// mostProblems bounds how many kinds of problem a message names.
const mostProblems = 16

const notExported = "neither the kernel nor a module loaded exports"

// problem is the reason why a module may not use a symbol; "" where it may
// (resolve_symbol).
func (l *loading) problem(name string, e Export, exported bool) string {
	if !exported {
		return notExported
	}
	if problem := l.info.disagrees(name, e); problem != "" {
		return problem
	}
	if !l.info.mayUse(e.Namespace, l.m.Name) {
		return "does not import namespace " + e.Namespace + " of"
	}
	return ""
}

// unusable makes one error of all symbols that a module may not use, by what is
// wrong with them.
func (l *loading) unusable(problems map[string][]string) error {
	if len(problems) == 0 {
		return nil
	}
	code := errno.EINVAL
	var parts []string
	for _, problem := range slices.Sorted(maps.Keys(problems)) {
		names := problems[problem]
		slices.Sort(names)
		parts = append(parts, problem+" "+text.SomeOf(slices.Compact(names)))
	}
	if problems[notExported] != nil {
		code = errno.ENOENT
		missing := slices.DeleteFunc(slices.Clone(l.info.depends), l.host.Loaded)
		if len(missing) > 0 {
			parts = append(parts, "it depends on "+text.SomeOf(missing)+": load that first")
		}
	}
	return &kernelimage.FormatError{File: l.File.Name, Section: "symbols", Errno: code, Msg: strings.Join(parts[:min(len(parts), mostProblems)], "; ")}
}

// relocate applies all relocations (apply_relocate_add).
func (l *loading) relocate() error {
	return l.relocated(func(sec *koSection, table string, at uint64, r elf.Rela64) error {
		typ := elf.R_AARCH64(elf.R_TYPE64(r.Info))
		if typ == elf.R_AARCH64_NONE || typ == elf.R_AARCH64_NULL {
			return nil
		}
		rel, known := relocations[typ]
		if !known {
			return l.Fail(table, at, nil, "relocation %v is not one that a module has", typ)
		}
		size, n := rel.size(), elf.R_SYM64(r.Info)
		if r.Off > uint64(len(sec.data)) || size > uint64(len(sec.data))-r.Off {
			return l.Fail(table, at, r.Off, "relocates what is not in the section's %#x bytes, offset", len(sec.data))
		}
		if s := l.syms[n]; n != 0 && s.Shndx != 0 && int(s.Shndx) < len(l.sections) && !l.sections[s.Shndx].ok {
			return l.Fail(table, at, nil, "refers to section %d (%s), which is not loaded", s.Shndx, l.File.Sections[s.Shndx].Name)
		}
		b, value, pc := sec.data[r.Off:r.Off+size], l.value[n]+uint64(r.Addend), sec.addr+r.Off
		if rel.apply(b, value, pc) {
			return nil
		}
		if isBranch26(r) {
			entry, err := l.plt(sec.part, value)
			if err != nil {
				return err
			}
			if entry != 0 && rel.apply(b, entry, pc) {
				return nil
			}
		}
		name, _ := l.Str(l.names, uint64(l.syms[n].Name), table)
		return l.Fail(table, at, value, "%v at %#x does not reach %s", typ, pc, name)
	})
}

// plt returns the entry that leads to target; 0 where the part has no room.
func (l *loading) plt(part koPart, target uint64) (uint64, error) {
	if part != koText && part != koInitText {
		return 0, nil
	}
	p := &l.plts[part]
	if at, ok := p.entries[target]; ok {
		return at, nil
	}
	if len(p.entries) >= p.room {
		return 0, nil
	}
	at := p.addr + uint64(len(p.entries))*pltSize
	words, err := PLTEntry(at, target)
	if err != nil {
		return 0, &kernelimage.FormatError{File: l.File.Name, Section: ".plt", Msg: err.Error(), Errno: errno.ENOEXEC}
	}
	seg := l.memory[part]
	copy(seg.data[at-seg.Start:], words)
	p.entries[target] = at
	l.m.PLTs++
	return at, nil
}
