package module

import (
	"bytes"
	"context"

	"callops/kernelimage"
	"callops/kernelimage/ctype"
	"callops/kernelimage/internal/format"
	"callops/kernelimage/internal/packing"
)

// MaxFile bounds a module's file, packed or unpacked, in bytes. The largest
// have some ten megabytes.
const MaxFile = 256 << 20

// Module is a kernel module, linked for a place in a kernel's memory. It never
// changes.
type Module struct {
	Name  string
	Image *kernelimage.Image // its memory, symbols and call sites

	This      kernelimage.Range  // __this_module, its struct module
	Listed    kernelimage.Range  // where the compiler listed the entries of its call sites, of InitSites too
	InitSites []kernelimage.Site // sites in code that is freed once init has run; they are not among the image's
	PLTs      int                // entries for branches that reach no further
	FtracePLT uint64             // room for FtracePLTs branches of FtracePLTSize bytes, the first to ftrace_caller; 0: no site needs it
	Init      uint64             // init_module; 0: there is none
	Exit      uint64             // cleanup_module; 0: there is none

	Exports map[string]Export
	Uses    []string // modules whose exports it uses

	// PerCPU are its per-CPU variables' addresses, to which tpidr_el1 is added;
	// from the start of the room, so that what aligns them is taken too.
	PerCPU     kernelimage.Range
	PerCPUData []byte // what each CPU's copy begins with

}

// Host is what a module is linked against: a kernel with what it has loaded.
type Host struct {
	Image    *kernelimage.Image
	Vermagic string // see [kernelimage.Image.Vermagic]
	Exports  map[string]Export
	PerCPU   kernelimage.Range // room for per-CPU variables, see Module.PerCPU

	// Loaded reports whether a module of that name is there.
	Loaded func(name string) bool
	// Room finds a place for segments, which follow one another from 0 on.
	Room func(segments []kernelimage.Segment) (base uint64, err error)
}

// File is the file of a kernel module, read but not linked.
type File struct {
	Name    string
	Depends []string // modules to load before it

	load *loading
}

// Parse reads a kernel module, a relocatable ELF file as it is or
// compressed. name is the file's, for messages. The error is ENOEXEC for what is
// none, and that of ctx where it ends. Unpacking takes up twice the module's size.
func Parse(ctx context.Context, file []byte, name string) (*File, error) {
	if p := packing.Of(file); p != nil {
		b, err := p.Unpack(ctx, packing.Source{R: bytes.NewReader(file), Size: int64(len(file)), Name: name}, MaxFile)
		if err != nil {
			return nil, err
		}
		file = b
	}
	l, err := newLoading(file, name)
	if err != nil {
		return nil, err
	}
	if err := format.Steps(ctx, l.tables, l.modinfo); err != nil {
		return nil, err
	}
	return &File{Name: l.m.Name, Depends: l.info.depends, load: l}, nil
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
func (f *File) Link(ctx context.Context, host *Host) (*Module, error) {
	l := f.load
	l.host = host
	l.parts.Profile, l.parts.Layout = host.Image.Profile(), host.Image.Layout()
	if err := format.Steps(ctx, l.admit, l.place, l.resolve, l.relocate, l.symbols, l.exports, l.sites, l.types); err != nil {
		return nil, err
	}
	l.m.Image = kernelimage.New(&l.parts)
	return l.m, nil
}

// Prototype is [kernelimage.Image.Prototype] for a function of the module, whose BTF
// may build on the kernel's.
func (m *Module) Prototype(kernel *kernelimage.Image, name string) (*ctype.Prototype, error) {
	return m.Image.PrototypeOver(kernel, name)
}
