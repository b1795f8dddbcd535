package guestcore

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"callops/internal/errno"
	"callops/kernelimage"
	"callops/kernelimage/module"
)

// A module's struct module is the one in its file. What load_module, do_init_module and
// free_module (kernel/module/main.c) do to it is done here, where the core or what it
// calls reads it: its memory, the list of modules, the tree that addresses are looked up in,
// its symbols and its state.

// enum module_state (include/linux/module.h).
const (
	stateLive = iota
	stateComing
	stateGoing
	stateUnformed
)

// guestModule is a module that the kernel knows.
type guestModule struct {
	*module.Module
	this    uint64   // its struct module
	symbols []uint64 // what its kallsyms takes of the heap
}

// moduleComing is load_module from add_unformed_module on, and do_init_module, without
// running its init.
//
// Differs: a module whose sites kill ftrace stays in Linux; here it does not.
func (c *Core) moduleComing(m *module.Module) error {
	l := &c.pack.Mod
	if m.This.End-m.This.Start < uint64(l.Size) {
		return fmt.Errorf("__this_module of %s has %#x bytes, struct module has %#x: %w", m.Name, m.This.End-m.This.Start, l.Size, errno.ENOEXEC)
	}
	g := &guestModule{Module: m, this: m.This.Start}
	c.modules[m.Name] = g
	if err := c.load(g); err != nil {
		return errors.Join(fmt.Errorf("module %s: %w", m.Name, err), c.moduleGoing(m))
	}
	return nil
}

func (c *Core) load(g *guestModule) error {
	l := &c.pack.Mod
	write := func(off int, v uint64) func() error {
		return func() error { return c.k.Mem.Store64(g.this+uint64(off), v) }
	}
	state := func(v uint32) func() error {
		return func() error { return c.k.Mem.Store32(g.this+uint64(l.State), v) }
	}
	run := func(name string, addr uint64, args ...uint64) func() error {
		return func() error { _, err := c.call(name, addr, args...); return err }
	}
	init := g.memory(true).bounds()
	return steps(
		state(stateUnformed),
		func() error { return c.setMemory(g) },
		func() error { return c.enlist(g) },
		write(l.Callsites, g.Listed.Start),
		func() error {
			return c.k.Mem.Store32(g.this+uint64(l.NumCallsites), uint32((g.Listed.End-g.Listed.Start)/8))
		},
		func() error { return c.setSymbols(g, true) },
		func() error { return c.setPLT(g) },
		run("ftrace_module_init", c.sym.moduleInit, g.this),
		state(stateComing),
		run("ftrace_module_enable", c.sym.moduleEnable, g.this),
		state(stateLive),
		run("ftrace_free_mem", c.sym.freeMem, g.this, init.Start, init.End),
		func() error { return c.setSymbols(g, false) },
		func() error { return c.dropInit(g) },
	)
}

// steps runs steps until one fails.
func steps(do ...func() error) error {
	for _, f := range do {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// moduleGoing is the end of delete_module, and free_module.
func (c *Core) moduleGoing(m *module.Module) error {
	g := c.modules[m.Name]
	if g == nil || g.Module != m {
		return nil
	}
	delete(c.modules, m.Name)
	at := g.this + uint64(c.pack.Mod.State)
	err := steps(
		func() error { return c.k.Mem.Store32(at, stateGoing) },
		func() error { _, err := c.call("ftrace_release_mod", c.sym.releaseMod, g.this); return err },
		func() error { return c.k.Mem.Store32(at, stateUnformed) },
		func() error { return c.delist(g) },
	)
	if c.crash == nil {
		err = errors.Join(err, c.freeSymbols(g))
	}
	return err
}

// memories is a module's memory by enum mod_mem_type: MOD_TEXT to MOD_INIT_RODATA.
type memories [7]kernelimage.Range

// firstInit is MOD_INIT_TEXT.
const firstInit = 4

// types are the names of a module's segments, by enum mod_mem_type. What is read-only after
// init is with the data.
var types = [7]string{"text", "data", "rodata", "", "init text", "init data", "init rodata"}

// memory is what remains of a module's memory, or with init what goes.
func (g *guestModule) memory(init bool) (m memories) {
	for _, s := range g.Image.Segments() {
		for i, name := range types {
			if s.Name == name && init == (i >= firstInit) {
				m[i] = kernelimage.Range{Start: s.Addr, End: s.End()}
			}
		}
	}
	return m
}

// bounds is from the first to the last.
func (m memories) bounds() (r kernelimage.Range) {
	for _, part := range m {
		switch {
		case part.End == 0:
		case r.End == 0:
			r = part
		default:
			r = kernelimage.Range{Start: min(r.Start, part.Start), End: max(r.End, part.End)}
		}
	}
	return r
}

// setMemory writes where the module's memory is.
func (c *Core) setMemory(g *guestModule) error {
	l := &c.pack.Mod
	core, init := g.memory(false), g.memory(true)
	if l.Memory == kernelimage.Absent {
		return errors.Join(
			c.setLayout(g, l.Core, core.bounds(), core[0]),
			c.setLayout(g, l.Init, init.bounds(), init[firstInit]),
		)
	}
	for i := range core {
		part := core[i]
		if i >= firstInit {
			part = init[i]
		}
		if err := c.setPart(g, l.Memory+i*l.Stride, part); err != nil {
			return err
		}
	}
	return nil
}

// setLayout is setPart of what begins with text.
func (c *Core) setLayout(g *guestModule, off int, all, text kernelimage.Range) error {
	if n := c.pack.Mod.TextBytes; n != kernelimage.Absent {
		if err := c.k.Mem.Store32(g.this+uint64(off+n), uint32(text.End-text.Start)); err != nil {
			return err
		}
	}
	return c.setPart(g, off, all)
}

func (c *Core) setPart(g *guestModule, off int, r kernelimage.Range) error {
	l, at := &c.pack.Mod, g.this+uint64(off)
	return errors.Join(
		c.k.Mem.Store64(at+uint64(l.Base), r.Start),
		c.k.Mem.Store32(at+uint64(l.Bytes), uint32(r.End-r.Start)),
	)
}

// hasTree reports whether modules are looked up in a tree.
func (c *Core) hasTree() bool {
	t := &c.pack.Mod.Tree
	return c.sym.treeInsert != 0 && c.sym.treeRemove != 0 && c.sym.treeRemoveInit != 0 && c.sym.modTree != 0 && t.AddrMin != kernelimage.Absent && t.AddrMax != kernelimage.Absent
}

// enlist is list_add_rcu(&mod->list, &modules), mod_update_bounds and mod_tree_insert.
func (c *Core) enlist(g *guestModule) error {
	if c.sym.modules == 0 || !c.hasTree() {
		return &MissingError{c.k.Image.Name(), []string{"modules", "mod_tree", "mod_tree_insert"}}
	}
	head, node := c.sym.modules, g.this+uint64(c.pack.Mod.List)
	next, err := c.k.Mem.Load64(head)
	if err != nil {
		return err
	}
	if err := c.link(head, node, next); err != nil {
		return err
	}
	all := memories{g.memory(false).bounds(), g.memory(true).bounds()}.bounds()
	if err := c.widen(all); err != nil {
		return err
	}
	_, err = c.call("mod_tree_insert", c.sym.treeInsert, g.this)
	return err
}

// link has list nodes follow one another.
func (c *Core) link(nodes ...uint64) error {
	for i, n := range nodes[1:] {
		if err := errors.Join(c.k.Mem.Store64(nodes[i], n), c.k.Mem.Store64(n+8, nodes[i])); err != nil {
			return err
		}
	}
	return nil
}

// widen is mod_update_bounds.
func (c *Core) widen(r kernelimage.Range) error {
	t := &c.pack.Mod.Tree
	lowest, highest := c.sym.modTree+uint64(t.AddrMin), c.sym.modTree+uint64(t.AddrMax)
	first, err := c.k.Mem.Load64(lowest)
	if err != nil {
		return err
	}
	last, err := c.k.Mem.Load64(highest)
	if err != nil {
		return err
	}
	return errors.Join(c.k.Mem.Store64(lowest, min(first, r.Start)), c.k.Mem.Store64(highest, max(last, r.End)))
}

// dropInit has the module's init memory be none of its own, where init has run.
func (c *Core) dropInit(g *guestModule) error {
	if _, err := c.call("mod_tree_remove_init", c.sym.treeRemoveInit, g.this); err != nil {
		return err
	}
	l := &c.pack.Mod
	if l.Memory == kernelimage.Absent {
		return c.setLayout(g, l.Init, kernelimage.Range{}, kernelimage.Range{})
	}
	for i := firstInit; i < len(types); i++ {
		if err := c.setPart(g, l.Memory+i*l.Stride, kernelimage.Range{}); err != nil {
			return err
		}
	}
	return nil
}

// delist is list_del_rcu(&mod->list) and mod_tree_remove.
func (c *Core) delist(g *guestModule) error {
	node := g.this + uint64(c.pack.Mod.List)
	words, err := c.k.Mem.ReadWords(node, 2)
	if err != nil || words[0] == 0 { // it was never listed
		return err
	}
	if err := c.link(words[1], words[0]); err != nil {
		return err
	}
	_, err = c.call("mod_tree_remove", c.sym.treeRemove, g.this)
	return err
}

// setPLT has the module's PLT for ftrace lead to the kernel's callers (module_init_ftrace_plt).
func (c *Core) setPLT(g *guestModule) error {
	words, err := g.FtracePLTEntries(c.code.Caller, c.code.RegsCaller)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		if err := c.k.Mem.Write(g.FtracePLT, words); err != nil {
			return err
		}
		c.k.Mem.SyncText(g.FtracePLT, uint64(len(words)))
	}
	for _, off := range []int{c.pack.Mod.Trampolines, c.pack.Mod.InitTrampolines} {
		if off == kernelimage.Absent {
			continue
		}
		// Init text is beside the text, and takes its branches.
		if err := c.k.Mem.Store64(g.this+uint64(off), g.FtracePLT); err != nil {
			return err
		}
	}
	return nil
}

// setSymbols gives the module its kallsyms (add_kallsyms): all symbols, or those that
// remain after init.
func (c *Core) setSymbols(g *guestModule, init bool) error {
	l := &c.pack.Mod
	if l.Kallsyms == kernelimage.Absent {
		return nil
	}
	gone := g.memory(true).bounds()
	symtab, strtab, typetab := make([]byte, elf.Sym64Size), []byte{0}, []byte{0}
	n := 1
	for _, s := range g.Image.Symbols() {
		if !init && gone.Contains(s.Addr) {
			continue
		}
		info := elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT)
		if s.Func {
			info = elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC)
		}
		var err error
		symtab, err = binary.Append(symtab, binary.LittleEndian, &elf.Sym64{Name: uint32(len(strtab)), Info: info, Shndx: 1, Value: s.Addr, Size: s.Size})
		if err != nil {
			return err
		}
		strtab, typetab = append(append(strtab, s.Name...), 0), append(typetab, 't')
		n++
	}
	old := g.symbols
	g.symbols = nil
	header := make([]byte, l.Symbols.Size)
	for _, t := range []struct {
		off  int
		data []byte
	}{{l.Symbols.Symtab, symtab}, {l.Symbols.Strtab, strtab}, {l.Symbols.Typetab, typetab}} {
		if t.off == kernelimage.Absent {
			continue
		}
		addr, err := c.place("kallsyms of "+g.Name, t.data)
		if err != nil {
			return err
		}
		g.symbols = append(g.symbols, addr)
		put64(header, t.off, addr)
	}
	put32(header, l.Symbols.NumSymtab, uint32(n))
	addr, err := c.place("kallsyms of "+g.Name, header)
	if err != nil {
		return err
	}
	g.symbols = append(g.symbols, addr)
	return errors.Join(c.k.Mem.Store64(g.this+uint64(l.Kallsyms), addr), c.free(old))
}

func (c *Core) freeSymbols(g *guestModule) error { return c.free(g.symbols) }

func (c *Core) free(objects []uint64) error {
	var errs []error
	for _, addr := range objects {
		errs = append(errs, c.k.Heap.Free(addr))
	}
	return errors.Join(errs...)
}
