package model

import (
	"fmt"
	"strings"

	"callops/asm"
	"callops/internal/errno"
	"callops/kernel"
)

// Code is the machine code of an image's own core, for faults to change. It is changed
// in memory, before the core starts.
type Code struct{ k *kernel.Kernel }

// Calls returns where a function, or what the compiler split from it (f.part.0, f.isra.0),
// calls any of others: the addresses of BL, and of B to it. Where there is none the error
// matches ENOENT.
func (c *Code) Calls(function string, callees ...string) ([]uint64, error) {
	targets := map[uint64]bool{}
	for _, name := range callees {
		for _, at := range c.named(name) {
			targets[at] = true
		}
	}
	return c.find(function, "a call of "+strings.Join(callees, ", "), func(pc uint64, word uint32) bool {
		to, _, ok := asm.DecodeBranch(pc, word)
		return ok && targets[to]
	})
}

// Words returns where a function has instructions of a kind: those for which word&mask is
// value.
func (c *Code) Words(function string, mask, value uint32) ([]uint64, error) {
	return c.find(function, fmt.Sprintf("an instruction like %s", asm.Disassemble(value, 0, nil)), func(_ uint64, word uint32) bool {
		return word&mask == value
	})
}

// named are the functions of a name, and what was split from them.
func (c *Code) named(name string) (at []uint64) {
	split := name + "."
	for s := range c.k.Image.SymbolTable().All() {
		if s.Func && (s.Name == name || strings.HasPrefix(s.Name, split)) {
			at = append(at, s.Addr)
		}
	}
	return at
}

func (c *Code) find(function, what string, is func(pc uint64, word uint32) bool) (found []uint64, err error) {
	for _, fn := range c.named(function) {
		for pc := fn; ; pc += insnSize {
			in, _, ok := c.k.Symbols.At(pc)
			if !ok || in.Addr != fn {
				break
			}
			w, err := c.k.Mem.Load32(pc)
			if err != nil {
				break
			}
			if is(pc, w) {
				found = append(found, pc)
			}
		}
	}
	if len(found) == 0 {
		return nil, c.Missing(function, what)
	}
	return found, nil
}

// Missing is the error for what a function has not. It matches ENOENT.
func (c *Code) Missing(function, what string) error {
	return fmt.Errorf("%s of %s has not %s: %w", function, c.k.Image.Name(), what, errno.ENOENT)
}

// Word returns the instruction at pc.
func (c *Code) Word(pc uint64) (uint32, error) { return c.k.Mem.Load32(pc) }

// Put writes an instruction.
func (c *Code) Put(pc uint64, word uint32) error {
	defer c.k.Mem.SyncText(pc, insnSize)
	return c.k.Mem.Store32(pc, word)
}

// Change changes an instruction.
func (c *Code) Change(pc uint64, change func(word uint32) uint32) error {
	w, err := c.Word(pc)
	if err != nil {
		return err
	}
	return c.Put(pc, change(w))
}

// MoveAfter moves an instruction behind a later one.
func (c *Code) MoveAfter(pc, last uint64) error {
	moved, err := c.Word(pc)
	if err != nil {
		return err
	}
	for ; pc < last; pc += insnSize {
		w, err := c.Word(pc + insnSize)
		if err != nil {
			return err
		}
		if err := c.Put(pc, w); err != nil {
			return err
		}
	}
	return c.Put(last, moved)
}

// PutInst writes one that a constructor made.
func (c *Code) PutInst(pc uint64, in asm.Inst) error {
	w, err := in.Word()
	if err != nil {
		return err
	}
	return c.Put(pc, w)
}

// Data returns the address of size zeroed bytes.
func (c *Code) Data(name string, size uint64) (uint64, error) { return c.k.Heap.Alloc(name, size) }

// Func places a function of its own, in reach of the kernel's.
func (c *Code) Func(name string, body func(b *asm.Builder)) (uint64, error) {
	p, err := c.k.PlaceCode(name, kernel.CodeOptions{Core: true}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func(name)
		body(b)
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return 0, err
	}
	return p.Base, nil
}

// Redirect has the branch at pc, with or without link, go to another place.
func (c *Code) Redirect(pc, to uint64) error {
	w, err := c.Word(pc)
	if err != nil {
		return err
	}
	encode := asm.EncodeB
	if w>>31 != 0 {
		encode = asm.EncodeBL
	}
	w, err = encode(pc, to)
	if err != nil {
		return err
	}
	return c.Put(pc, w)
}

// Address returns the address of a function.
func (c *Code) Address(name string) (uint64, error) { return c.k.Func(name) }
