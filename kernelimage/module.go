package kernelimage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"callops/emu"
)

// Module is a kernel module in memory. Nothing of it has run: its init function
// is at Init.
type Module struct {
	Name  string
	Image *Image // its memory, symbols and call sites

	InitSites []Site // sites in code that is freed once init has run; they are not among the image's
	PLTs      int    // entries for branches that reach no further
	FtracePLT uint64 // room for one branch to ftrace_caller, FtracePLTSize bytes; 0: no site needs it
	Init      uint64 // init_module; 0: there is none
	Exit      uint64 // cleanup_module; 0: there is none

	exports map[string]export
	uses    []*Module
	perCPU  Range
	btf     []byte // .BTF; nil: there is none
	btfBase []byte // .BTF.base, what .BTF builds on; nil: the kernel's
}

// KoOptions say where a module goes; nil is where the kernel puts it: where its
// calls reach the kernel, or else far away.
type KoOptions struct {
	Far bool // far away in any case: BL reaches neither the kernel nor its ftrace_caller
}

// What a kernel has loaded.
type loaded struct {
	modules  []*Module
	exports  map[string]export // nil: to be made
	vermagic string            // see Kernel.vermagic; "": not looked for
	perCPU   uint64            // bytes taken of each CPU's modulePerCPU
	free     []freed
}

// freed is the memory of a module that is gone. It stays mapped, for the next
// one of the same form.
type freed struct{ segments []Segment }

// modulePerCPU is the room for modules' variables in each CPU's area,
// PERCPU_MODULE_RESERVE.
const modulePerCPU = 8 << 10

// maxModuleFile bounds a module's file. The largest have some ten megabytes.
const maxModuleFile = 256 << 20

// LoadKoFile is LoadKo of a file.
func (k *Kernel) LoadKoFile(path string, opts *KoOptions) (*Module, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxModuleFile {
		return nil, &FormatError{File: path, Msg: fmt.Sprintf("is not a regular file of at most %#x bytes", uint64(maxModuleFile)), Errno: unix.ENOEXEC}
	}
	b := make([]byte, info.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k.LoadKo(b, filepath.Base(path), opts)
}

// LoadKo loads a kernel module, a relocatable ELF file as it is or compressed,
// as kernel/module/main.c and arch/arm64/kernel/module.c do: it places its
// sections, resolves its symbols by what the kernel and the modules loaded
// before export, relocates it and checks its call sites. name is the file's,
// for messages. Alternatives and static keys stay as built, the license is not
// looked at, and init is not run.
//
// The error is ENOEXEC for what is no module of this kernel, ENOENT for symbols
// that nobody exports, EINVAL for those of another version or a namespace that the
// module does not import, EEXIST for a module that is loaded already and ENOMEM
// where it or its per-CPU variables have no room. No CPU may run meanwhile.
func (k *Kernel) LoadKo(file []byte, name string, opts *KoOptions) (*Module, error) {
	if opts == nil {
		opts = &KoOptions{}
	}
	if p := packingOf(file); p != nil {
		b, err := p.unpack(bytes.NewReader(file), int64(len(file)), name)
		if err != nil {
			return nil, err
		}
		file = b
	}
	l, err := newKoLoad(k, file, name, opts)
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		l.tables, l.modinfo, l.place, l.resolve, l.relocate, l.symbols, l.exports, l.sites, l.types, l.commit,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.m, nil
}

// Modules returns the modules loaded, the first one first.
func (k *Kernel) Modules() []*Module { return slices.Clone(k.loaded.modules) }

// Site is Image.Site for the kernel and its modules.
func (k *Kernel) Site(ip uint64) (Site, bool) {
	if s, ok := k.Image.Site(ip); ok {
		return s, true
	}
	for _, m := range k.loaded.modules {
		if m.Image.Bounds().Contains(ip) {
			return m.Image.Site(ip)
		}
	}
	return Site{}, false
}

// Unload takes a module away: EBUSY while another one uses it, ENOENT where it
// is not loaded. Its exit function is not run. What called it faults from then on
// with an undefined instruction. An ftrace that knows its sites must be told first.
func (k *Kernel) Unload(m *Module) error {
	i := slices.Index(k.loaded.modules, m)
	if i < 0 {
		return fmt.Errorf("module %s is not loaded: %w", m.Name, unix.ENOENT)
	}
	for _, other := range k.loaded.modules {
		if slices.Contains(other.uses, m) {
			return fmt.Errorf("module %s is used by %s: %w", m.Name, other.Name, unix.EBUSY)
		}
	}
	for _, s := range m.Image.Segments {
		if err := k.Mem.Write(s.Addr, make([]byte, s.MemSize)); err != nil {
			return err
		}
		if s.Perm&emu.Exec != 0 {
			k.Mem.SyncText(s.Addr, s.MemSize)
		}
	}
	k.loaded.modules = slices.Delete(k.loaded.modules, i, i+1)
	k.loaded.free = append(k.loaded.free, freed{m.Image.Segments})
	for name := range m.exports {
		delete(k.loaded.exports, name)
	}
	// What lies in front of another's variables is not taken again.
	k.loaded.perCPU = 0
	for _, other := range k.loaded.modules {
		if other.perCPU.End != 0 {
			k.loaded.perCPU = max(k.loaded.perCPU, other.perCPU.End-k.perCPUModules())
		}
	}
	k.Symbols.Remove(m.Name)
	return nil
}

// perCPUModules is where the modules' per-CPU variables begin, behind the
// kernel's own: an address that, with tpidr_el1 added, is in a CPU's area.
func (k *Kernel) perCPUModules() uint64 {
	return k.Layout.PerCPU.Start + pageUp(uint64(k.Layout.PerCPU.Size))
}
