package kernel

import (
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
)

// blReach is how far BL reaches: from pc-blReach up to, not including,
// pc+blReach.
const blReach = 128 << 20

// CodeOptions select where hand-assembled code is placed.
type CodeOptions struct {
	// Core makes the code part of the kernel: its symbols name no module.
	Core bool
	// Far places it where no BL of the image's text reaches it, nor the other
	// way round.
	Far bool
	// Size is how many bytes the code may take; 0 means to assemble it twice,
	// the first time to learn its size.
	Size uint64
}

// PlaceCode places code at a page of its own, readable and executable: build
// assembles it for the base it is given. Its symbols are the module's. Unless
// opts.Far, BL reaches it from everywhere in the image's text and back.
func (k *Kernel) PlaceCode(name string, opts CodeOptions, build func(base uint64) (*asm.Program, error)) (*asm.Program, error) {
	if build == nil {
		return nil, fmt.Errorf("module %s: nothing to build it with: %w", name, errno.EINVAL)
	}
	p, err := k.place(name, opts, build)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	return p, nil
}

func (k *Kernel) place(name string, opts CodeOptions, build func(base uint64) (*asm.Program, error)) (*asm.Program, error) {
	size := pageUp(opts.Size)
	var p *asm.Program
	for {
		base, err := k.codeBase(max(size, emu.PageSize), opts.Far)
		if err != nil {
			return nil, err
		}
		if p == nil || p.Base != base {
			if p, err = build(base); err != nil {
				return nil, err
			}
		}
		need := pageUp(uint64(len(p.Code)))
		if need == 0 || opts.Size != 0 && need > size {
			return nil, fmt.Errorf("%#x bytes of code, %#x allowed: %w", len(p.Code), opts.Size, errno.ENOEXEC)
		}
		if need <= max(size, emu.PageSize) {
			break
		}
		size = need
	}
	if _, err := k.Mem.Map(name, p.Base, max(size, emu.PageSize), emu.Read|emu.Exec); err != nil {
		return nil, err
	}
	if err := k.Mem.Write(p.Base, p.Code); err != nil {
		return nil, err
	}
	k.Mem.SyncText(p.Base, uint64(len(p.Code)))

	module := name
	if opts.Core {
		module = ""
	}
	k.Symbols.AddRange(module, p.Base, p.Base+uint64(len(p.Code)))
	syms := make([]kernelimage.Symbol, len(p.Symbols))
	for i, s := range p.Symbols {
		syms[i] = kernelimage.Symbol{Name: s.Name, Addr: s.Addr, Size: s.Size, Func: s.Kind == asm.Func, Module: module}
	}
	k.Symbols.Add(syms...)
	return p, nil
}

// codeBase finds room for size bytes of code. As on arm64 a kernel's modules
// lie below it; above it where there is nothing below, as for a program linked
// at a low address.
func (k *Kernel) codeBase(size uint64, far bool) (uint64, error) {
	if far {
		if base, ok := k.freePages(k.areas+farArea, k.areas+dataArea, size); ok {
			return base, nil
		}
		return 0, fmt.Errorf("no room for %#x bytes in the far module area: %w", size, errno.ENOMEM)
	}
	text, img := k.Image.TextBounds(), k.Image.Bounds()
	below := kernelimage.Range{Start: text.End - blReach, End: img.Start}
	if below.Start>>48 != img.Start>>48 {
		below = kernelimage.Range{} // and nothing is put where a null pointer with an offset points
	}
	for _, r := range []kernelimage.Range{below, {Start: img.End, End: text.Start + blReach}} {
		if r.Start >= r.End {
			continue
		}
		if base, ok := k.freePages(r.Start, r.End, size); ok {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no room for %#x bytes that BL reaches from all of %#x..%#x: %w", size, text.Start, text.End, errno.ENOMEM)
}

// freePages finds room for size bytes from one of the kernel's own pages on.
func (k *Kernel) freePages(lo, hi, size uint64) (uint64, bool) {
	base, ok := k.Mem.FreeRange(lo, hi, size+k.Image.PageSize()-emu.PageSize)
	return k.pages(base), ok
}

// pool hands out memory of regions with the same permissions.
type pool struct{ next, end uint64 }

// maxData bounds one object, in bytes.
const maxData = 1 << 30

// poolChunk is how much of the data area is mapped at once.
const poolChunk = 64 << 10

// AllocData returns zeroed memory for an object of the kernel's data, aligned
// to 64 bytes, and adds its symbol.
func (k *Kernel) AllocData(name string, size uint64, perm emu.Perm) (uint64, error) {
	return k.AllocModuleData("", name, size, perm)
}

// AllocModuleData is AllocData for a module's object.
func (k *Kernel) AllocModuleData(module, name string, size uint64, perm emu.Perm) (uint64, error) {
	p := k.pools[perm]
	if p == nil {
		p = &pool{}
		k.pools[perm] = p
	}
	room := (max(size, 1) + 63) &^ 63
	if size > maxData {
		return 0, fmt.Errorf("data %s, %#x bytes: %w", name, size, errno.ENOMEM)
	}
	if room > p.end-p.next {
		chunk := max(pageUp(room), poolChunk)
		base, ok := k.Mem.FreeRange(k.areas+dataArea, k.areas+perCPUArea, chunk)
		if !ok {
			return 0, fmt.Errorf("data %s, %#x bytes: %w", name, size, errno.ENOMEM)
		}
		if _, err := k.Mem.Map(fmt.Sprintf("data %s", perm), base, chunk, perm); err != nil {
			return 0, err
		}
		*p = pool{base, base + chunk}
	}
	addr := p.next
	p.next += room
	k.Symbols.AddRange(module, addr, addr+size)
	k.Symbols.Add(kernelimage.Symbol{Name: name, Addr: addr, Size: size, Module: module})
	return addr, nil
}
