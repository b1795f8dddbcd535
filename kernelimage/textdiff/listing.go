package textdiff

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"callops/asm"
)

// around is how many instructions are shown around those that differ.
const around = 2

// whole is the name of the function that a compiler made f of: f.isra.0, f.cold.
func whole(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}

func isCold(name string) bool {
	return strings.HasSuffix(name, ".cold") || strings.Contains(name, ".cold.")
}

// listing is what differs between two versions.
func (p *pairing) listing() []Line {
	var all []Line
	i, j := 0, 0
	for i < len(p.to) || j < len(p.from) {
		switch {
		case i < len(p.to) && p.to[i] < 0:
			all = append(all, p.old.line(OldOnly, i))
			i++
		case j < len(p.from) && p.from[j] < 0:
			all = append(all, p.new.line(NewOnly, j))
			j++
		default:
			l := p.new.line(Both, j)
			l.Old = p.old.offset(i)
			all = append(all, l)
			i, j = i+1, j+1
		}
	}
	var lines []Line
	for n := range all {
		from, to := max(n-around, 0), min(n+around+1, len(all))
		if slices.ContainsFunc(all[from:to], func(l Line) bool { return l.Op != Both }) {
			lines = append(lines, all[n])
		}
	}
	return lines
}

// listing is a whole function that only one kernel has.
func (c *code) listing(op Op) []Line {
	lines := make([]Line, 0, len(c.insns))
	for i := range c.insns {
		lines = append(lines, c.line(op, i))
	}
	return lines
}

func (c *code) offset(i int) int64 { return int64(c.insns[i].pc - c.start) }

func (c *code) line(op Op, i int) Line {
	l := Line{Op: op, Old: -1, New: -1, Text: c.text(&c.insns[i])}
	if op == OldOnly {
		l.Old = c.offset(i)
	} else {
		l.New = c.offset(i)
	}
	return l
}

// What disassembly says of addresses and offsets.
var (
	address   = regexp.MustCompile(`[0-9a-f]{5,16}$`)
	lastValue = regexp.MustCompile(`#-?(0x)?[0-9a-f]+`)
)

// text is an instruction with names in the place of addresses.
func (c *code) text(in *insn) string {
	text := asm.Disassemble(in.raw, in.pc, nil)
	switch {
	case in.kind == refData:
		if in.ref != 0 {
			return ".quad " + c.name(in.ref)
		}
		return fmt.Sprintf(".word %#x", in.raw)
	case in.kind == refKey:
		return fmt.Sprintf("%s // static branch on %s to +%#x", asm.Disassemble(in.word, in.pc, nil), c.name(in.ref), c.target(in))
	case in.to != none:
		return address.ReplaceAllString(text, fmt.Sprintf("+%#x", c.target(in)))
	case in.kind == refLiteral:
		if v, ok := c.literalValue(in); ok {
			return address.ReplaceAllLiteralString(text, c.name(v))
		}
	case in.kind == refAddr:
		return address.ReplaceAllLiteralString(text, c.name(in.ref))
	case in.kind == refLow, in.kind == refAnchor:
		low := ":lo12:" + c.name(in.ref)
		if at := lastValue.FindAllStringIndex(text, -1); at != nil {
			last := at[len(at)-1]
			return text[:last[0]] + low + text[last[1]:]
		}
		return text + " // " + low
	}
	if _, _, _, ok := asm.DecodeAdr(in.pc, in.raw); ok {
		return address.ReplaceAllString(text, "page")
	}
	return text
}

// target is where an instruction leads, as an offset from the function's start.
func (c *code) target(in *insn) uint64 {
	if in.to == none {
		return 0
	}
	return c.insns[in.to].pc - c.start
}
