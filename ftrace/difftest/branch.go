package difftest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/kernelimage/textdiff"
)

// coreFiles are the source files of what is mutated: the core, and arm64's part of it.
var coreFiles = []string{"kernel/trace/ftrace.c", "arch/arm64/kernel/ftrace.c"}

// Branch is a conditional branch of the kernel's core.
type Branch struct {
	PC     uint64
	Offset uint64 // in the function
	Func   string
	File   string // the source file
	Word   uint32
}

func (b Branch) String() string {
	return fmt.Sprintf("%s+%#x", b.Func, b.Offset)
}

// Text is the instruction, as [asm.Disassemble] has it.
func (b Branch) Text() string { return asm.Disassemble(b.Word, b.PC, nil) }

// invert has the branch be taken where it is not.
func (b Branch) invert(k *kernel.Kernel) error {
	w, ok := asm.InvertBranch(b.Word)
	have, err := k.Mem.Load32(b.PC)
	if err != nil {
		return fmt.Errorf("invert %s: %w", b, err)
	}
	if !ok || have != b.Word {
		return fmt.Errorf("invert %s: found %#08x, not %#08x: %w", b, have, b.Word, errno.EINVAL)
	}
	if err := k.Mem.Store32(b.PC, w); err != nil {
		return err
	}
	k.Mem.SyncText(b.PC, 4)
	return nil
}

// coreText is the functions of the core in an image, in address order.
func coreText(img *kernelimage.Image) ([]textdiff.Text, error) {
	all, err := textdiff.Ftrace(img)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(f textdiff.Text) bool { return !slices.Contains(coreFiles, f.File) }), nil
}

// closure is those of the functions that were executed, and what they call, directly or not.
func closure(funcs []textdiff.Text, seen *coverage) []textdiff.Text {
	in := make([]bool, len(funcs))
	var visit func(i int)
	visit = func(i int) {
		if in[i] {
			return
		}
		in[i] = true
		for _, to := range funcs[i].Calls {
			if k, ok := slices.BinarySearchFunc(funcs, to, func(f textdiff.Text, at uint64) int { return cmp.Compare(f.Start, at) }); ok {
				visit(k)
			}
		}
	}
	for i := range funcs {
		if seen.within(funcs[i].Range) {
			visit(i)
		}
	}
	var found []textdiff.Text
	for i, f := range funcs {
		if in[i] {
			found = append(found, f)
		}
	}
	return found
}

// branches are the conditional branches of functions, in address order.
func branches(img *kernelimage.Image, funcs []textdiff.Text) ([]Branch, error) {
	var found []Branch
	for _, f := range funcs {
		code, err := textOf(img, f.Range)
		if err != nil {
			return nil, err
		}
		for off := 0; off+4 <= len(code); off += 4 {
			w := binary.LittleEndian.Uint32(code[off:])
			if _, ok := asm.InvertBranch(w); ok {
				found = append(found, Branch{f.Start + uint64(off), uint64(off), f.Name, f.File, w})
			}
		}
	}
	return found, nil
}

func textOf(img *kernelimage.Image, r kernelimage.Range) ([]byte, error) {
	for _, seg := range img.Segments() {
		if r.Start < seg.Addr || r.End > seg.Addr+seg.FileSize() {
			continue
		}
		b, err := seg.Bytes()
		if err != nil {
			return nil, err
		}
		return b[r.Start-seg.Addr : r.End-seg.Addr], nil
	}
	return nil, fmt.Errorf("text from %#x to %#x: in no segment: %w", r.Start, r.End, errno.EFAULT)
}

// coverage is which instructions of the core were executed, and for branches which way
// they went.
type coverage struct {
	kernelimage.Range
	seen []uint8 // by instruction
}

const (
	wentOn   = 1 << iota // the next instruction was executed after it
	wentAway             // another one was
)

func newCoverage(funcs []textdiff.Text) *coverage {
	c := &coverage{Range: kernelimage.Range{Start: funcs[0].Start, End: funcs[len(funcs)-1].End}}
	c.seen = make([]uint8, (c.End-c.Start)/4)
	return c
}

func (c *coverage) step(cpu emu.CPU, before *emu.Regs) {
	if !c.Contains(before.PC) {
		return
	}
	way := uint8(wentOn)
	if cpu.Regs().PC != before.PC+4 {
		way = wentAway
	}
	c.seen[(before.PC-c.Start)/4] |= way
}

// add adds what another one has seen.
func (c *coverage) add(other *coverage) {
	for i, way := range other.seen {
		c.seen[i] |= way
	}
}

func (c *coverage) at(pc uint64) uint8 { return c.seen[(pc-c.Start)/4] }

// within reports whether anything in a range was executed.
func (c *coverage) within(r kernelimage.Range) bool {
	return slices.ContainsFunc(c.seen[(r.Start-c.Start)/4:(r.End-c.Start)/4], func(way uint8) bool { return way != 0 })
}
