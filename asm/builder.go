package asm

import (
	"fmt"
	"path/filepath"
	"runtime"
)

// Builder collects instructions, data and labels. It keeps the first error
// and goes on, so calls need no checks; Assemble returns the error together
// with the source line of the call that caused it.
type Builder struct {
	labels  []label
	items   []item
	syms    []symbol
	pool    []pooled
	size    int
	align   int // largest asked for, which the base has to meet
	openSym int // index of the symbol that runs on, or -1
	data    bool
	err     error
}

type label struct {
	name   string
	bound  bool
	abs    bool
	off    int // in the program, unless abs
	addr   uint64
	isPool bool
}

// item is an instruction, a data word, or raw bytes at an offset.
type item struct {
	Inst
	off int
	raw []byte // takes the place of Inst if not nil
	pc  uintptr
}

type symbol struct {
	label Label
	kind  SymbolKind
	end   int // -1 while open
}

type pooled struct {
	v uint64
	l Label
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder { return &Builder{align: 4, openSym: -1} }

// caller returns the place that called the exported method calling it.
func caller() uintptr {
	var pcs [1]uintptr
	runtime.Callers(3, pcs[:])
	return pcs[0]
}

// at adds the source position. The folder is kept, the path above it is not,
// so that messages do not depend on where the tree lies.
func at(pc uintptr, err error) error {
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	if f.File == "" {
		return err
	}
	dir, file := filepath.Split(f.File)
	return fmt.Errorf("%s:%d: %w", filepath.Join(filepath.Base(dir), file), f.Line, err)
}

func (b *Builder) fail(pc uintptr, err error) {
	if b.err == nil {
		b.err = at(pc, err)
	}
}

// own reports whether l is this builder's and records an error if not.
func (b *Builder) own(pc uintptr, l Label) bool {
	switch {
	case l.b == b && l.n < len(b.labels):
		return true
	case l.b == nil:
		b.fail(pc, fmt.Errorf("zero Label: %w", ErrLabel))
	default:
		b.fail(pc, fmt.Errorf("%v belongs to another Builder: %w", l, ErrLabel))
	}
	return false
}

// Label returns a new label to be bound later. The name is for listings and
// errors and need not be unique.
func (b *Builder) Label(name string) Label { return b.add(label{name: name}) }

func (b *Builder) add(l label) Label {
	b.labels = append(b.labels, l)
	return Label{b, len(b.labels) - 1}
}

// Abs returns a label for an address outside the program.
func (b *Builder) Abs(name string, addr uint64) Label {
	return b.add(label{name: name, bound: true, abs: true, addr: addr})
}

// Bind puts the label here.
func (b *Builder) Bind(l Label) { b.bind(caller(), l) }

func (b *Builder) bind(pc uintptr, l Label) bool {
	if !b.own(pc, l) {
		return false
	}
	d := &b.labels[l.n]
	switch {
	case d.abs:
		b.fail(pc, fmt.Errorf("%v is bound to address %#x: %w", l, d.addr, ErrLabel))
	case d.bound:
		b.fail(pc, fmt.Errorf("%v is bound twice, first at offset %#x: %w", l, d.off, ErrLabel))
	default:
		d.bound, d.off = true, b.size
		return true
	}
	return false
}

// Here returns a new label bound here.
func (b *Builder) Here(name string) Label {
	l := b.Label(name)
	b.bind(caller(), l)
	return l
}

// Func starts a function symbol here. It runs to [Builder.EndFunc] or the next
// symbol.
func (b *Builder) Func(name string) Label {
	l := b.Label(name)
	b.start(caller(), l, Func)
	return l
}

// BindFunc is [Builder.Func] for a label that exists already.
func (b *Builder) BindFunc(l Label) { b.start(caller(), l, Func) }

// Object starts a data symbol here, which runs as a function's does.
func (b *Builder) Object(name string) Label {
	l := b.Label(name)
	b.start(caller(), l, Object)
	return l
}

// EndFunc ends the symbol that was started last.
func (b *Builder) EndFunc() {
	if b.openSym < 0 {
		b.fail(caller(), fmt.Errorf("EndFunc without an open symbol: %w", ErrLabel))
		return
	}
	b.end()
}

func (b *Builder) end() {
	if b.openSym >= 0 {
		b.syms[b.openSym].end = b.size
		b.openSym = -1
	}
}

func (b *Builder) start(pc uintptr, l Label, kind SymbolKind) {
	if !b.bind(pc, l) {
		return
	}
	for _, s := range b.syms {
		if b.labels[s.label.n].name == b.labels[l.n].name {
			b.fail(pc, fmt.Errorf("a symbol named %q exists: %w", b.labels[l.n].name, ErrLabel))
		}
	}
	b.end()
	b.openSym = len(b.syms)
	b.syms = append(b.syms, symbol{label: l, kind: kind, end: -1})
	b.data = kind == Object
}

// Emit appends instructions and data items. Sequences go in as
// Emit(MovImm(X0, v)...).
func (b *Builder) Emit(insts ...Inst) { b.emit(caller(), insts) }

func (b *Builder) emit(pc uintptr, insts []Inst) {
	for _, i := range insts {
		if i.err != nil {
			b.fail(pc, i.err)
		}
		if i.fix != fixNone {
			b.own(pc, i.label)
		}
		if i.kind == kindCode && b.size%4 != 0 {
			b.fail(pc, fmt.Errorf("%s at offset %#x: %w", i.op, b.size, ErrMisaligned))
		}
		b.items = append(b.items, item{Inst: i, off: b.size, pc: pc})
		b.size += i.size()
	}
}

// Align pads to a multiple of n, a power of two: with nop in code, with zeros
// in an object and up to the next word.
func (b *Builder) Align(n int) { b.alignTo(caller(), n) }

func (b *Builder) alignTo(pc uintptr, n int) {
	if n <= 0 || n&(n-1) != 0 || n > 1<<20 {
		b.fail(pc, fmt.Errorf("alignment %d is not a power of two up to 1 MiB: %w", n, ErrMisaligned))
		return
	}
	b.align = max(b.align, n)
	pad := -b.size & (n - 1)
	zeros := pad
	if !b.data {
		zeros = min(pad, -b.size&3)
	}
	b.raw(pc, make([]byte, zeros))
	for range (pad - zeros) / 4 {
		b.emit(pc, []Inst{Nop()})
	}
}

// maxZero bounds one call of Zero, lest a wrong size exhaust memory.
const maxZero = 1 << 28

// Zero appends n zero bytes.
func (b *Builder) Zero(n int) {
	if n < 0 || n > maxZero {
		b.fail(caller(), fmt.Errorf("%d zero bytes: not in [0, %d]: %w", n, maxZero, ErrImmediate))
		return
	}
	b.raw(caller(), make([]byte, n))
}

// Bytes appends a copy of p.
func (b *Builder) Bytes(p []byte) { b.raw(caller(), append([]byte{}, p...)) }

func (b *Builder) raw(pc uintptr, p []byte) {
	if len(p) == 0 {
		return
	}
	b.items = append(b.items, item{off: b.size, raw: p, pc: pc})
	b.size += len(p)
}

// Literal returns the label of a quad that holds v, placed after the program.
// Equal values share one.
func (b *Builder) Literal(v uint64) Label {
	for _, p := range b.pool {
		if p.v == v {
			return p.l
		}
	}
	l := b.add(label{name: fmt.Sprintf("literal %#x", v), isPool: true})
	b.pool = append(b.pool, pooled{v, l})
	return l
}

func (b *Builder) placePool(pc uintptr) {
	if len(b.pool) == 0 {
		return
	}
	b.alignTo(pc, 8)
	for _, p := range b.pool {
		b.bind(pc, p.l)
		b.emit(pc, []Inst{Quad(p.v)})
	}
	b.pool = nil
}
