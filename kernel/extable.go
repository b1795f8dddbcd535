package kernel

import (
	"encoding/binary"
	"slices"
	"sort"
	"sync"

	"callops/emu"
	"callops/kernelimage"
)

// struct exception_table_entry (arch/arm64/include/asm/extable.h): two offsets from themselves, a
// type and its data. The table is sorted by insn.
const (
	exSize  = 12
	exFixup = 4
	exType  = 8
	exData  = 10
)

// Types of entries (arch/arm64/include/asm/asm-extable.h). Before EX_TYPE_UACCESS_CPY came, which is of
// instructions that these CPUs do not have, EX_TYPE_LOAD_UNALIGNED_ZEROPAD was 4.
const (
	exUaccessErrZero = 2
	exKaccessErrZero = 3
	exUaccessCpy     = 4
	exZeropad        = 5
	exTypes          = 6
)

// exEFAULT is what an access that faulted returns.
const exEFAULT = 14

// fixup is an entry of __ex_table: where a CPU goes on that faulted on an instruction, and what of its
// registers changes.
type fixup struct {
	pc   uint64
	kind uint16
	data uint16
}

// fault is fixup_exception (arch/arm64/mm/extable.c): a load or a store that the kernel's exception
// table has an entry for goes on at its fixup. Any other ends the call.
func (k *Kernel) fault(cpu emu.CPU, exit emu.Exit) error {
	if exit.Fault == nil || exit.Fault.Access == emu.Fetch || !k.Image.IsLinux() {
		return exit.Fault
	}
	f, ok := k.fixupOf(exit.PC)
	if !ok {
		return exit.Fault
	}
	if f.kind == exUaccessCpy && !k.tellsESR() {
		f.kind = exZeropad
	}
	first, second := f.data&31, f.data>>5&31
	switch f.kind {
	case exUaccessErrZero, exKaccessErrZero:
		setRegister(cpu.Regs(), first, ^uint64(exEFAULT-1))
		setRegister(cpu.Regs(), second, 0)
	case exZeropad:
		addr := register(cpu.Regs(), second)
		word, err := k.Mem.Load64(addr &^ 7)
		if err != nil {
			return exit.Fault
		}
		setRegister(cpu.Regs(), first, word>>(addr&7*8))
	default: // of BPF programs, and what these CPUs have no instructions for
		return exit.Fault
	}
	cpu.Regs().PC = f.pc
	return nil
}

// tellsESR reports whether fixup_exception is told what the access was, which EX_TYPE_UACCESS_CPY asks.
func (k *Kernel) tellsESR() bool {
	p, err := k.Image.Prototype("fixup_exception")
	return err == nil && len(p.Params) > 1
}

// zr is the register that reads as zero.
const zr = 31

func setRegister(regs *emu.Regs, n uint16, v uint64) {
	if n != zr {
		regs.X[n] = v
	}
}

func register(regs *emu.Regs, n uint16) uint64 {
	if n == zr {
		return 0
	}
	return regs.X[n]
}

// fixupOf finds the entry for the instruction at pc.
func (k *Kernel) fixupOf(pc uint64) (fixup, bool) {
	img := k.imageOf(pc)
	if img != k.Image {
		return k.moduleFixup(img, pc)
	}
	k.exTable.once.Do(func() { k.exTable.Range = k.findExTable() })
	t := &k.exTable
	n := int((t.End - t.Start) / exSize)
	i := sort.Search(n, func(i int) bool { return k.target(t.Start+uint64(i)*exSize) >= pc })
	if i == n {
		return fixup{}, false
	}
	return k.exEntry(img, t.Start+uint64(i)*exSize, pc)
}

// moduleFixup looks for an entry of a module, whose table is short, as bugAt does.
func (k *Kernel) moduleFixup(img *kernelimage.Image, pc uint64) (f fixup, ok bool) {
	for _, s := range img.Segments() {
		for at := range k.displacements(s, pc) {
			if f, ok = k.exEntry(img, at, pc); ok {
				return f, true
			}
		}
	}
	return f, false
}

// exEntry reads the entry for the instruction at pc.
func (k *Kernel) exEntry(img *kernelimage.Image, at, pc uint64) (f fixup, ok bool) {
	var b [exSize]byte
	if k.Mem.Read(at, b[:]) != nil {
		return f, false
	}
	e := decodeExEntry(b[:], at)
	return e.fixup, e.insn == pc && e.in(img.Text())
}

// target is what the word at an address leads to, from itself.
func (k *Kernel) target(at uint64) uint64 {
	d, err := k.Mem.Load32(at)
	if err != nil {
		return 0
	}
	return at + uint64(int64(int32(d)))
}

// exEntry is struct exception_table_entry.
type exEntry struct {
	insn uint64
	fixup
}

func decodeExEntry(b []byte, at uint64) exEntry {
	relative := func(off int) uint64 {
		return at + uint64(off) + uint64(int64(int32(binary.LittleEndian.Uint32(b[off:]))))
	}
	return exEntry{
		insn:  relative(0),
		fixup: fixup{pc: relative(exFixup), kind: binary.LittleEndian.Uint16(b[exType:]), data: binary.LittleEndian.Uint16(b[exData:])},
	}
}

// in reports whether an entry can be one: its instruction and its fixup are text.
func (e *exEntry) in(text []kernelimage.Range) bool {
	isText := func(addr uint64) bool {
		return addr%4 == 0 && slices.ContainsFunc(text, func(t kernelimage.Range) bool { return t.Contains(addr) })
	}
	return e.kind > 0 && e.kind < exTypes && isText(e.insn) && isText(e.pc)
}

// exTable is where that of the kernel is, once a fault has asked for it.
type exTable struct {
	once sync.Once
	kernelimage.Range
}

// leastEntries is how many entries are taken for a table. A kernel has some thousands.
const leastEntries = 32

// findExTable finds the kernel's table by its symbols, or as it looks.
func (k *Kernel) findExTable() kernelimage.Range {
	start, err := k.Symbols.Lookup("__start___ex_table")
	if err != nil {
		return k.scanExTable()
	}
	stop, err := k.Symbols.Lookup("__stop___ex_table")
	if err != nil || stop.Addr < start.Addr {
		return k.scanExTable()
	}
	return kernelimage.Range{Start: start.Addr, End: stop.Addr}
}

// scanExTable finds the longest run of entries in the order of their instructions.
func (k *Kernel) scanExTable() (longest kernelimage.Range) {
	text := k.Image.Text()
	for _, s := range k.Image.Segments() {
		b := make([]byte, s.FileSize())
		if k.Mem.Read(s.Addr, b) != nil {
			continue
		}
		for i := int(-s.Addr & 3); i+exSize <= len(b); i += 4 {
			if b[i+exType]-1 >= exTypes-1 || b[i+exType+1] != 0 {
				continue
			}
			n, last := 0, uint64(0)
			for at := i; at+exSize <= len(b); at += exSize {
				e := decodeExEntry(b[at:], s.Addr+uint64(at))
				if e.insn <= last || !e.in(text) {
					break
				}
				n, last = n+1, e.insn
			}
			if size := uint64(n * exSize); n >= leastEntries && size > longest.End-longest.Start {
				longest = kernelimage.Range{Start: s.Addr + uint64(i), End: s.Addr + uint64(i) + size}
			}
			if n > 1 {
				i += (n - 1) * exSize
			}
		}
	}
	return longest
}
