package ctype

import (
	"github.com/cilium/ebpf/btf"

	"callops/internal/text"
)

// Structure is a structure as BTF lays it out.
type Structure struct {
	Name   string
	Size   int     // bytes
	Fields []Field // in the order of the declaration; those of anonymous structures and unions among them
}

// Field is a field of a structure.
type Field struct {
	Name   string
	Offset int // bytes
	Bit    int // of a bit-field: its first bit from there
	Bits   int // its width; 0: it is none
	Decl   string
}

// maxFields bounds the fields of a structure: a damaged one holds itself.
const maxFields = 4096

// NewStructure is the layout of a structure.
func NewStructure(t *btf.Struct) *Structure {
	s := &Structure{Name: text.Printable(shortened(t.Name)), Size: int(t.Size)}
	s.add(t.Members, 0, 0)
	return s
}

// maxNested bounds anonymous structures in structures.
const maxNested = 16

func (s *Structure) add(members []btf.Member, at btf.Bits, depth int) {
	for _, m := range members {
		if len(s.Fields) == maxFields || depth > maxNested {
			return
		}
		off := at + m.Offset
		if m.Name == "" {
			switch t := btf.UnderlyingType(m.Type).(type) {
			case *btf.Struct:
				s.add(t.Members, off, depth+1)
				continue
			case *btf.Union:
				s.add(t.Members, off, depth+1)
				continue
			}
		}
		f := Field{
			Name: text.Printable(shortened(m.Name)), Offset: int(off / 8), Bit: int(off % 8), Bits: int(m.BitfieldSize),
			Decl: text.Printable(declare(m.Type, shortened(m.Name))),
		}
		s.Fields = append(s.Fields, f)
	}
}
