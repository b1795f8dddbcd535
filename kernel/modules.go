package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"callops/emu"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/kernelimage"
	"callops/kernelimage/ctype"
	"callops/kernelimage/module"
)

// ModuleOptions select where a kernel module is placed; nil is the kernel's own choice:
// where its calls reach the kernel, or else far away.
type ModuleOptions struct {
	Far bool // far away in any case: BL reaches neither the kernel nor its ftrace_caller
}

// What a kernel has loaded.
type loaded struct {
	modules  []*module.Module
	vermagic string                   // with exports
	exports  map[string]module.Export // nil: to be made
	perCPU   uint64                   // bytes taken of each CPU's modulePerCPU
	free     []freed
}

// freed is the memory of a module that is gone. It stays mapped, for the next
// one of the same form.
type freed struct{ segments []kernelimage.Segment }

// modulePerCPU is the room for modules' variables in each CPU's area,
// PERCPU_MODULE_RESERVE.
const modulePerCPU = 8 << 10

// LoadModuleFile is LoadModule of a file.
func (k *Kernel) LoadModuleFile(ctx context.Context, path string, opts *ModuleOptions) (*module.Module, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|hostmem.OpenNoWait, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > module.MaxFile {
		return nil, &kernelimage.FormatError{File: path, Msg: fmt.Sprintf("is not a regular file of at most %#x bytes", uint64(module.MaxFile)), Errno: errno.ENOEXEC}
	}
	b := make([]byte, info.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k.LoadModule(ctx, b, filepath.Base(path), opts)
}

// LoadModule loads a kernel module, see [module.Parse] and
// [module.File.Link], whose errors it returns; name is the file's, for
// messages. Also ENOMEM where it has no room. Subscribers are notified of
// [ModuleComing], and any of their errors takes the module away again. Its init
// function is not run. No CPU may run meanwhile.
func (k *Kernel) LoadModule(ctx context.Context, file []byte, name string, opts *ModuleOptions) (_ *module.Module, err error) {
	if opts == nil {
		opts = &ModuleOptions{}
	}
	f, err := module.Parse(ctx, file, name)
	if err != nil {
		return nil, err
	}
	if k.loaded.exports == nil {
		k.loaded.vermagic = k.Image.Vermagic()
		k.loaded.exports = module.Exports(k.Image, k.loaded.vermagic)
	}
	first, reused := k.perCPUModules(), -1
	m, err := f.Link(ctx, &module.Host{
		Image: k.Image, Vermagic: k.loaded.vermagic, Exports: k.loaded.exports, Loaded: k.Symbols.hasModule,
		PerCPU: kernelimage.Range{Start: first + k.loaded.perCPU, End: first + modulePerCPU},
		Room: func(segments []kernelimage.Segment) (base uint64, err error) {
			base, reused, err = k.moduleRoom(segments, opts.Far)
			return base, err
		},
	})
	if err != nil {
		return nil, err
	}
	stays := false
	defer func() { // a subscriber that panics leaves nothing half loaded either
		if !stays {
			err = errors.Join(err, k.remove(m))
		}
	}()
	if err := k.commit(m, reused); err != nil {
		return nil, err
	}
	if err := k.notify(ModuleComing, m); err != nil {
		return nil, err
	}
	stays = true
	return m, nil
}

// moduleRoom finds a place for a module: the memory of one that is gone, given by
// its index, or else fresh memory (-1).
func (k *Kernel) moduleRoom(segments []kernelimage.Segment, far bool) (base uint64, reused int, err error) {
	reused = slices.IndexFunc(k.loaded.free, func(f freed) bool {
		return (f.segments[0].Addr >= k.areas+farArea) == far && slices.EqualFunc(f.segments, segments, func(a, b kernelimage.Segment) bool {
			return a.MemSize == b.MemSize && a.Perm == b.Perm && a.Addr-f.segments[0].Addr == b.Addr
		})
	})
	if reused >= 0 {
		return k.loaded.free[reused].segments[0].Addr, reused, nil
	}
	last := segments[len(segments)-1]
	base, err = k.codeBase(last.End(), far)
	if err != nil && !far {
		base, err = k.codeBase(last.End(), true)
	}
	return base, reused, err
}

// commit puts a module into the kernel's memory; reused is moduleRoom's.
func (k *Kernel) commit(m *module.Module, reused int) error {
	k.loaded.modules = append(k.loaded.modules, m)
	if reused >= 0 {
		k.loaded.free = slices.Delete(k.loaded.free, reused, reused+1)
	}
	for _, s := range m.Image.Segments() {
		if reused < 0 {
			if _, err := k.Mem.Map(m.Name+" "+s.Name, s.Addr, s.MemSize, s.Perm); err != nil {
				return err
			}
		}
		if err := s.Load(k.Mem); err != nil {
			return err
		}
		if s.Perm&emu.Exec != 0 {
			k.Mem.SyncText(s.Addr, s.MemSize)
		}
		k.Symbols.AddRange(m.Name, s.Addr, s.End())
	}
	if m.PerCPU.End != 0 {
		at := m.PerCPU.End - uint64(len(m.PerCPUData))
		for _, c := range k.CPUs {
			if err := k.Mem.Write(at+c.PerCPU, m.PerCPUData); err != nil {
				return err
			}
		}
		k.loaded.perCPU = m.PerCPU.End - k.perCPUModules()
	}
	k.Symbols.Add(m.Image.Symbols()...)
	maps.Copy(k.loaded.exports, m.Exports)
	return nil
}

// Modules returns the modules loaded, the first one first.
func (k *Kernel) Modules() []*module.Module { return slices.Clone(k.loaded.modules) }

// Site is Image.Site for the kernel and its modules.
func (k *Kernel) Site(ip uint64) (kernelimage.Site, bool) {
	if s, ok := k.Image.Site(ip); ok {
		return s, true
	}
	for _, m := range k.loaded.modules {
		if m.Image.Bounds().Contains(ip) {
			return m.Image.Site(ip)
		}
	}
	return kernelimage.Site{}, false
}

// Prototype is that of [kernelimage.Image] for a function of the kernel or of a
// module, which "module:name" may name. Also ENOENT where there is no such
// function, and EINVAL where the name is ambiguous.
func (k *Kernel) Prototype(name string) (*ctype.Prototype, error) {
	sym, err := k.Symbols.Lookup(name)
	if err != nil {
		return nil, err
	}
	if sym.Module == "" {
		return k.Image.Prototype(sym.Name)
	}
	i := slices.IndexFunc(k.loaded.modules, func(m *module.Module) bool { return m.Name == sym.Module })
	if i < 0 {
		return nil, fmt.Errorf("%s has no BTF: %w", sym.Module, errno.ENOENT)
	}
	return k.loaded.modules[i].Prototype(k.Image, sym.Name)
}

// Unload takes a module away: EBUSY while another one uses it, ENOENT where it
// is not loaded. Subscribers are notified of [ModuleGoing] first. Its exit
// function is not run. What called it faults from then on with an undefined
// instruction. No CPU may run meanwhile.
func (k *Kernel) Unload(m *module.Module) error {
	if m == nil || !slices.Contains(k.loaded.modules, m) {
		return fmt.Errorf("the module is not loaded: %w", errno.ENOENT)
	}
	for _, other := range k.loaded.modules {
		if slices.Contains(other.Uses, m.Name) {
			return fmt.Errorf("module %s is used by %s: %w", m.Name, other.Name, errno.EBUSY)
		}
	}
	return errors.Join(k.notify(ModuleGoing, m), k.remove(m))
}

// remove takes a module out of the kernel's memory and tables.
func (k *Kernel) remove(m *module.Module) error {
	k.loaded.modules = slices.DeleteFunc(k.loaded.modules, func(other *module.Module) bool { return other == m })
	for name := range m.Exports {
		delete(k.loaded.exports, name)
	}
	// What lies in front of another's variables is not taken again.
	k.loaded.perCPU = 0
	for _, other := range k.loaded.modules {
		if other.PerCPU.End != 0 {
			k.loaded.perCPU = max(k.loaded.perCPU, other.PerCPU.End-k.perCPUModules())
		}
	}
	k.Symbols.Remove(m.Name)
	for _, s := range m.Image.Segments() {
		if err := k.Mem.Write(s.Addr, make([]byte, s.MemSize)); err != nil {
			return err
		}
		if s.Perm&emu.Exec != 0 {
			k.Mem.SyncText(s.Addr, s.MemSize)
		}
	}
	k.loaded.free = append(k.loaded.free, freed{m.Image.Segments()})
	return nil
}

// perCPUModules is where the modules' per-CPU variables begin, after the
// kernel's own: an address that, with tpidr_el1 added, is in a CPU's area.
func (k *Kernel) perCPUModules() uint64 {
	return k.Layout.PerCPU.Start + pageUp(uint64(k.Layout.PerCPU.Size))
}
