package module

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/kernelimage/internal/elffile"
)

// Sections that the loader treats on their own.
const (
	koModinfo    = ".modinfo"
	koVersions   = "__versions"
	koPerCPU     = ".data..percpu"
	koSites      = "__patchable_function_entries"
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

// loading is a module being linked.
type loading struct {
	*elffile.File
	host *Host
	m    *Module

	parts kernelimage.Parts // of the module's image

	symtab   *elffile.Section
	syms     []elf.Sym64
	names    string
	info     moduleInfo
	value    []uint64 // address of each symbol
	sections []koSection
	memory   [koParts]*koMemory
	plts     [koParts]koPLT // of text and init text
	base     uint64
}

// koMemory is a part's memory. Its data is in the module's image too, which is made when
// nothing changes it any more.
type koMemory struct {
	kernelimage.Range
	data []byte
}

// koSection is where a section goes; addr is an offset in its part until the
// module is placed.
type koSection struct {
	part koPart
	addr uint64
	data []byte // what is in memory
	ok   bool   // addr means something: loaded, or per-CPU
}

func newLoading(file []byte, name string) (*loading, error) {
	if magic := file[:min(len(file), len(elf.ELFMAG))]; len(magic) > 0 && string(magic) != elf.ELFMAG {
		return nil, &kernelimage.FormatError{File: name, Msg: "is no ELF file: it starts with", Value: fmt.Sprintf("%q", magic), Errno: errno.ENOEXEC}
	}
	f, err := elffile.New(bytes.NewReader(file), int64(len(file)), name, elffile.Relocatable)
	if err != nil {
		return nil, err
	}
	l := &loading{File: f, m: &Module{}}
	l.sections = make([]koSection, len(f.Sections))
	return l, nil
}

// tables reads the symbol table.
func (l *loading) tables() error {
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
func (l *loading) modinfo() error {
	if !slices.ContainsFunc(l.File.Sections, func(s elffile.Section) bool { return s.Name == koThisModule }) {
		return l.Fail("section headers", l.Header.Shoff, nil, "no section %s: the file is not a kernel module", koThisModule)
	}
	name, err := l.readInfo()
	if err != nil {
		return err
	}
	if !isModuleName(name) {
		return &kernelimage.FormatError{File: l.File.Name, Section: koModinfo, Msg: "is not a module name", Value: fmt.Sprintf("%.*q", maxModuleName, name), Errno: errno.ENOEXEC}
	}
	l.m.Name, l.parts.Name = name, name
	return nil
}

// admit checks that the module may be loaded here.
func (l *loading) admit() error {
	if err := l.checkKernel(); err != nil {
		return err
	}
	if l.host.Loaded(l.m.Name) {
		return &kernelimage.FormatError{File: l.File.Name, Msg: fmt.Sprintf("a module %s is loaded already", l.m.Name), Errno: errno.EEXIST}
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
