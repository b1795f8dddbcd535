// Package ctype holds what a call needs from a function's declaration in C: the kinds
// and sizes of its parameters and result, and the declaration as text.
//
// Types come from BTF, in which DWARF is read too; see kernelimage's Prototype.
package ctype

// Kind is what a parameter or a result is to a caller in machine code.
type Kind int

// The kinds.
const (
	Void Kind = iota
	Int       // with char, and enumerations
	Bool
	Pointer
	Aggregate // a structure or union by value
)

// Type is the type of a parameter or a result.
type Type struct {
	Kind   Kind
	Size   int  // in bytes; 0 for Void
	Signed bool // of an Int
	Func   bool // of a Pointer: to a function
}

// registers is how many registers a value takes up (AAPCS64, 6.8.2: what is
// larger than 16 bytes is passed by address).
func (t Type) registers() int {
	if t.Size > 16 {
		return 1
	}
	return max((t.Size+7)/8, 1)
}

// Prototype is a function as C declares it.
type Prototype struct {
	Name     string
	Params   []Type
	Printed  []Param // of each
	Variadic bool    // more arguments may follow
	Result   Type

	decl string
}

// String is the declaration, on one line.
func (p *Prototype) String() string { return p.decl }

// Args is how many registers the parameters take up.
func (p *Prototype) Args() int {
	n := 0
	for _, t := range p.Params {
		n += t.registers()
	}
	return n
}

// Arg returns the type of what is passed in register xi; ok is false for the
// arguments after the named ones.
func (p *Prototype) Arg(i int) (t Type, ok bool) {
	for _, t := range p.Params {
		if i -= t.registers(); i < 0 {
			return t, true
		}
	}
	return Type{}, false
}
