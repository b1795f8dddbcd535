package lockstep

import (
	"fmt"
	"strings"

	"callops/asm"
	"callops/emu"
)

// maxMemoryDiffs is how many words of memory a DifferenceError lists.
const maxMemoryDiffs = 16

// State is what a CPU became.
type State struct {
	Regs  emu.Regs
	Exit  emu.Exit
	Count uint64 // instructions executed since both were the same
}

// MemoryDiff is an aligned doubleword that the engines left different.
type MemoryDiff struct {
	Addr         uint64
	Before, A, B uint64 // Before is what it held when the chunk began
}

// RegDiff is a register, or another part of a State, that differs.
type RegDiff struct {
	Name string
	A, B string
}

// DifferenceError is one instruction that two engines execute differently.
type DifferenceError struct {
	Names [2]string // of the engines

	PC    uint64
	Word  uint32
	Text  string // disassembled
	Count uint64 // instructions that the CPU had executed before it

	Before emu.Regs
	After  [2]State // Count is from the beginning of the chunk
	Memory []MemoryDiff

	// Unreproduced: the engines differed over a chunk, but not when it was
	// executed again. PC is where the chunk begins, and After its end.
	Unreproduced bool
}

func (d *DifferenceError) Error() string {
	var parts []string
	for _, r := range d.Regs() {
		parts = append(parts, fmt.Sprintf("%s %s, %s", r.Name, r.A, r.B))
	}
	for _, m := range d.Memory {
		parts = append(parts, fmt.Sprintf("[%#x] %#x, %#x", m.Addr, m.A, m.B))
	}
	where := "at"
	if d.Unreproduced {
		where = "somewhere after"
	}
	return fmt.Sprintf("%s and %s differ %s pc %#x: %s (%08x): %s",
		d.Names[0], d.Names[1], where, d.PC, d.Text, d.Word, strings.Join(parts, "; "))
}

// Regs returns what differs between the states but memory.
func (d *DifferenceError) Regs() []RegDiff { return d.After[0].Differences(&d.After[1]) }

// Report is the error with both states in full, over many lines.
func (d *DifferenceError) Report() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%v\ninstruction %d of the CPU; before, %s, %s:\n", d, d.Count, d.Names[0], d.Names[1])
	before := State{Regs: d.Before}
	lines := before.lines()
	a, b := d.After[0].lines(), d.After[1].lines()
	for i, l := range lines {
		mark := ' '
		if a[i] != b[i] {
			mark = '*'
		}
		fmt.Fprintf(&sb, "%c %-10s %18s %18s %18s\n", mark, l.name, l.value, a[i].value, b[i].value)
	}
	for _, m := range d.Memory {
		fmt.Fprintf(&sb, "* %#x %#18x %#18x %#18x\n", m.Addr, m.Before, m.A, m.B)
	}
	return sb.String()
}

func (d *DifferenceError) name(mem *emu.Memory) {
	d.PC = d.Before.PC
	word, err := mem.Load32(d.PC)
	if err != nil {
		d.Text = "no instruction"
		return
	}
	d.Word, d.Text = word, asm.Disassemble(word, d.PC, nil)
}
