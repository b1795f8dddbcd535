// Package kallsymstest writes symbol tables as scripts/kallsyms.c of several
// versions of Linux does, for tests.
package kallsymstest

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"callops/kernelimage/internal/kallsyms"
)

// Order is the order of the table's parts.
type Order int

// The orders, named after the first version that has them.
const (
	From64 Order = iota
	From70
	From62 // 6.2, 6.3
	From50 // until 6.1
)

// Spec is how a table is written. The zero value is 6.12's.
type Spec struct {
	Order  Order
	Form   kallsyms.Form // From70 is always kallsyms.Place
	NoSeqs bool
}

// Symbol is a symbol at an offset from the image's first byte.
type Symbol struct {
	Type byte
	Name string
	Off  uint64
}

// Pointer is a word at an offset that holds the address of another.
type Pointer struct{ At, Off uint64 }

// parts are what an order has.
var parts = map[Order][]string{
	From70: {"num_syms", "names", "markers", "tokens", "addresses", "seqs"},
	From64: {"num_syms", "names", "markers", "tokens", "addresses", "seqs"},
	From62: {"addresses", "num_syms", "names", "markers", "seqs", "tokens"},
	From50: {"addresses", "num_syms", "names", "markers", "tokens"},
}

// Append appends the table of syms, which ascend, to an image whose first byte
// is linked at link. It returns the words that hold addresses too.
func Append(image []byte, link uint64, spec Spec, syms []Symbol) ([]byte, []Pointer) {
	w := writer{b: image, link: link, spec: spec, syms: syms, align: 8}
	if spec.Order == From70 {
		w.align, w.spec.Form = 4, kallsyms.Place
	}
	names, markers := w.names()
	for _, part := range parts[spec.Order] {
		if part == "seqs" && spec.NoSeqs {
			continue
		}
		w.pad(w.align)
		switch part {
		case "num_syms":
			w.word(uint32(len(syms)))
		case "names":
			w.b = append(w.b, names...)
		case "markers":
			for _, m := range markers {
				w.word(m)
			}
		case "tokens":
			w.writeTokens()
		case "addresses":
			w.addresses()
		case "seqs":
			for i := range syms {
				n := len(syms) - 1 - i
				w.b = append(w.b, byte(n>>16), byte(n>>8), byte(n))
			}
		}
	}
	w.pad(8)
	return w.b, w.pointers
}

type writer struct {
	b        []byte
	link     uint64
	spec     Spec
	syms     []Symbol
	align    int
	pointers []Pointer
}

func (w *writer) pad(to int)    { w.b = append(w.b, make([]byte, -len(w.b)&(to-1))...) }
func (w *writer) word(v uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, v) }

// token is a token's text: letters stand for themselves, and one is a part of
// names.
func token(i int) string {
	switch {
	case i == 1:
		return "tfunction_"
	case i > ' ' && i < 0x7f:
		return string(rune(i))
	}
	return fmt.Sprintf("~%d", i)
}

func (w *writer) names() (packed []byte, markers []uint32) {
	for i, s := range w.syms {
		if i%256 == 0 {
			markers = append(markers, uint32(len(packed)))
		}
		name := append([]byte{s.Type}, s.Name...)
		if rest, ok := bytes.CutPrefix(name, []byte(token(1))); ok {
			name = append([]byte{1}, rest...)
		}
		if n := len(name); n < 0x80 {
			packed = append(packed, byte(n))
		} else {
			packed = append(packed, byte(n)|0x80, byte(n>>7))
		}
		packed = append(packed, name...)
	}
	return packed, markers
}

func (w *writer) writeTokens() {
	var index []byte
	start := len(w.b)
	for i := range 256 {
		index = binary.LittleEndian.AppendUint16(index, uint16(len(w.b)-start))
		w.b = append(append(w.b, token(i)...), 0)
	}
	w.pad(w.align)
	w.b = append(w.b, index...)
}

func (w *writer) addresses() {
	lowest := w.syms[0].Off // what kallsyms_relative_base is the address of
	for _, s := range w.syms {
		switch w.spec.Form {
		case kallsyms.Absolute:
			w.pointer(s.Off)
		case kallsyms.PerCPU:
			w.word(uint32(-1 - int32(s.Off-lowest)))
		case kallsyms.Place:
			w.word(uint32(s.Off - uint64(len(w.b))))
		default:
			w.word(uint32(s.Off - lowest))
		}
	}
	if w.spec.Form == kallsyms.Relative || w.spec.Form == kallsyms.PerCPU {
		w.pad(8)
		w.pointer(lowest)
	}
}

func (w *writer) pointer(off uint64) {
	w.pointers = append(w.pointers, Pointer{uint64(len(w.b)), off})
	w.b = binary.LittleEndian.AppendUint64(w.b, w.link+off)
}
