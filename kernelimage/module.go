package kernelimage

import (
	"bytes"
	"context"

	"callops/kernelimage/internal/packing"
)

// MaxModuleFile bounds a module's file, packed or unpacked, in bytes. The largest
// have some ten megabytes.
const MaxModuleFile = 256 << 20

// Module is a kernel module, linked for a place in a kernel's memory. It never
// changes.
type Module struct {
	Name  string
	Image *Image // its memory, symbols and call sites

	InitSites []Site // sites in code that is freed once init has run; they are not among the image's
	PLTs      int    // entries for branches that reach no further
	FtracePLT uint64 // room for one branch to ftrace_caller, FtracePLTSize bytes; 0: no site needs it
	Init      uint64 // init_module; 0: there is none
	Exit      uint64 // cleanup_module; 0: there is none

	Exports map[string]Export
	Uses    []string // modules whose exports it uses

	// PerCPU are its per-CPU variables' addresses, to which tpidr_el1 is added;
	// from the start of the room, so that what aligns them is taken too.
	PerCPU     Range
	PerCPUData []byte // what each CPU's copy begins with

	btf     []byte // .BTF; nil: there is none
	btfBase []byte // .BTF.base, what .BTF builds on; nil: the kernel's
}

// Host is what a module is linked against: a kernel with what it has loaded.
type Host struct {
	Image    *Image
	Vermagic string // see [Image.Vermagic]
	Exports  map[string]Export
	PerCPU   Range // room for per-CPU variables, see Module.PerCPU

	// Loaded reports whether a module of that name is there.
	Loaded func(name string) bool
	// Room finds a place for segments, which lie behind one another from 0 on.
	Room func(segments []Segment) (base uint64, err error)
}

// ModuleFile is the file of a kernel module, read but not linked.
type ModuleFile struct {
	Name    string
	Depends []string // modules to load before it

	load *koLoad
}

// ParseModule reads a kernel module, a relocatable ELF file as it is or
// compressed. name is the file's, for messages. The error is ENOEXEC for what is
// none, and that of ctx where it ends. Unpacking takes up twice the module's size.
func ParseModule(ctx context.Context, file []byte, name string) (*ModuleFile, error) {
	if p := packing.Of(file); p != nil {
		b, err := p.Unpack(ctx, packing.Source{R: bytes.NewReader(file), Size: int64(len(file)), Name: name}, MaxModuleFile)
		if err != nil {
			return nil, err
		}
		file = b
	}
	l, err := newKoLoad(file, name)
	if err != nil {
		return nil, err
	}
	if err := steps(ctx, l.tables, l.modinfo); err != nil {
		return nil, err
	}
	return &ModuleFile{Name: l.m.Name, Depends: l.info.depends, load: l}, nil
}

// Link places the module's sections, resolves its symbols by what the kernel and
// the modules loaded before export, relocates it and checks its call sites, as
// kernel/module/main.c and arch/arm64/kernel/module.c do. Alternatives and static
// keys stay as built, and the license is not looked at. A file is linked once.
//
// The error is ENOEXEC for what is no module of this kernel, ENOENT for symbols
// that are not exported, EINVAL for those of another version or a namespace that
// the module does not import, EEXIST for a module that is loaded already and
// ENOMEM where its per-CPU variables have no room.
func (f *ModuleFile) Link(ctx context.Context, host *Host) (*Module, error) {
	l := f.load
	l.host = host
	l.m.Image.Profile, l.m.Image.Layout = host.Image.Profile, host.Image.Layout
	if err := steps(ctx, l.admit, l.place, l.resolve, l.relocate, l.symbols, l.exports, l.sites, l.types); err != nil {
		return nil, err
	}
	return l.m, nil
}

// steps runs them up to the first error.
func steps(ctx context.Context, all ...func() error) error {
	for _, step := range all {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
