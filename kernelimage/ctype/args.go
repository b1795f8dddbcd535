package ctype

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"callops/internal/text"
)

// Param is what is printed of a parameter, besides its value.
type Param struct {
	Name  string
	Union bool             // an Aggregate that is a union
	Enum  map[int64]string // the names of an enumeration's values
}

// maxPrinted is FTRACE_REGS_MAX_ARGS (include/linux/ftrace_regs.h): so many registers are printed.
const maxPrinted = 6

func paramOf(p btf.FuncParam) Param {
	q := Param{Name: text.Printable(shortened(p.Name))}
	switch t := btf.UnderlyingType(p.Type).(type) {
	case *btf.Union:
		q.Union = true
	case *btf.Enum:
		q.Enum = make(map[int64]string, len(t.Values))
		for _, v := range t.Values {
			if _, again := q.Enum[int64(v.Value)]; !again {
				q.Enum[int64(v.Value)] = text.Printable(shortened(v.Name))
			}
		}
	}
	return q
}

// Extend is a register's value as the type has it: with its sign, or zeros above its size.
func (t Type) Extend(v uint64) uint64 {
	shift := 64 - 8*min(max(t.Size, 1), 8)
	if t.Signed {
		return uint64(int64(v<<shift) >> shift)
	}
	return v << shift >> shift
}

// FormatArgs writes arguments as Linux 6.15 does (print_function_args, kernel/trace/trace_output.c), from the registers
// x0 on: signed integers in decimal, all else in hexadecimal, and what lies in more than six registers as dots.
//
// Differs: a value is as large as its type, and a structure of more than 16 bytes is its address.
func (p *Prototype) FormatArgs(regs []uint64) string {
	var sb strings.Builder
	at := 0
	for i, t := range p.Params {
		if i > 0 {
			sb.WriteString(", ")
		}
		if at >= min(maxPrinted, len(regs)) {
			sb.WriteString("...")
			return sb.String()
		}
		if name := p.Printed[i].Name; name != "" {
			sb.WriteString(name + "=")
		}
		at = p.formatArg(&sb, i, t, regs, at)
	}
	if p.Variadic {
		sb.WriteString(", ...")
	}
	return sb.String()
}

// formatArg writes the argument in the registers from at on, and returns the next one's.
func (p *Prototype) formatArg(sb *strings.Builder, i int, t Type, regs []uint64, at int) int {
	v := t.Extend(regs[at])
	end := at + t.registers()
	switch {
	case t.Kind == Aggregate && t.Size <= 16:
		kind := "STRUCT"
		if p.Printed[i].Union {
			kind = "UNION"
		}
		fmt.Fprintf(sb, "(%s)[0x%x", kind, regs[at])
		for n := at + 1; n < end; n++ {
			if n >= min(maxPrinted, len(regs)) {
				sb.WriteString(":...")
				break
			}
			fmt.Fprintf(sb, ":0x%x", regs[n])
		}
		sb.WriteString("]")
	case t.Kind == Aggregate:
		fmt.Fprintf(sb, "0x%x", regs[at])
	case p.Printed[i].Enum != nil:
		fmt.Fprintf(sb, "%d", int64(v))
		if name, ok := p.Printed[i].Enum[int64(v)]; ok {
			fmt.Fprintf(sb, " [%s]", name)
		}
	case t.Kind == Int && t.Signed:
		fmt.Fprintf(sb, "%d", int64(v))
	case t.Kind == Void: // a kind of type that C has and callops does not
		fmt.Fprintf(sb, "?0x%x", regs[at])
	default:
		fmt.Fprintf(sb, "0x%x", v)
	}
	return end
}
