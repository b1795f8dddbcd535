// Package dwarftype reads the declarations of functions from DWARF (versions 2 to 5)
// as types of BTF, as pahole generates them: so there is one form of C types.
//
// Types are followed to a bounded depth, and of structures only name and size are
// read: a hostile file costs no more than its length.
package dwarftype

import (
	"debug/dwarf"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// maxDepth bounds types of types. A deeper one is void, as what is not told is.
const maxDepth = 32

// maxParams bounds the parameters of a function that are read.
const maxParams = 64

// DWARF's encodings of base types (DWARF 5, 7.8).
const (
	ateBoolean    = 2
	ateSigned     = 5
	ateSignedChar = 6
)

// ErrNoFunc is a name that no function of the file has.
var ErrNoFunc = errors.New("no function of that name")

// Funcs returns the functions of that name, declared or defined in any unit.
func Funcs(d *dwarf.Data, name string) ([]*btf.Func, error) {
	c := &converter{d: d}
	var found []*btf.Func
	r := d.Reader()
	for {
		e, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("DWARF: %w", err)
		}
		if e == nil {
			break
		}
		switch e.Tag {
		case dwarf.TagCompileUnit:
			continue // into it
		case dwarf.TagSubprogram:
			if n, _ := e.Val(dwarf.AttrName).(string); n == name {
				found = append(found, &btf.Func{Name: name, Type: c.function(e, 0)})
			}
		}
		r.SkipChildren()
	}
	if len(found) == 0 {
		return nil, ErrNoFunc
	}
	return found, nil
}

// converter turns entries into types.
type converter struct {
	d *dwarf.Data
}

// function is the type of an entry with parameters as children.
func (c *converter) function(e *dwarf.Entry, depth int) *btf.FuncProto {
	proto := &btf.FuncProto{Return: c.typeOf(e, depth)}
	if !e.Children {
		return proto
	}
	r := c.d.Reader()
	r.Seek(e.Offset)
	if _, err := r.Next(); err != nil {
		return proto
	}
	for len(proto.Params) < maxParams {
		child, err := r.Next()
		if err != nil || child == nil || child.Tag == 0 {
			break
		}
		switch child.Tag {
		case dwarf.TagFormalParameter:
			name, _ := child.Val(dwarf.AttrName).(string)
			proto.Params = append(proto.Params, btf.FuncParam{Name: name, Type: c.typeOf(child, depth)})
		case dwarf.TagUnspecifiedParameters:
			return c.variadic(proto)
		}
		r.SkipChildren()
	}
	return proto
}

// variadic adds what stands for the dots in BTF.
func (c *converter) variadic(proto *btf.FuncProto) *btf.FuncProto {
	proto.Params = append(proto.Params, btf.FuncParam{Type: &btf.Void{}})
	return proto
}

// typeOf is the type that an entry refers to; without one, void.
func (c *converter) typeOf(e *dwarf.Entry, depth int) btf.Type {
	off, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok || depth >= maxDepth {
		return &btf.Void{}
	}
	r := c.d.Reader()
	r.Seek(off)
	t, err := r.Next()
	if err != nil || t == nil {
		return &btf.Void{}
	}
	return c.convert(t, depth+1)
}

func (c *converter) convert(t *dwarf.Entry, depth int) btf.Type {
	name, _ := t.Val(dwarf.AttrName).(string)
	size := uint32(0)
	if n, ok := t.Val(dwarf.AttrByteSize).(int64); ok && n >= 0 && n <= 1<<31 {
		size = uint32(n)
	}
	switch t.Tag {
	case dwarf.TagBaseType:
		return &btf.Int{Name: name, Size: size, Encoding: encoding(t)}
	case dwarf.TagPointerType:
		return &btf.Pointer{Target: c.typeOf(t, depth)}
	case dwarf.TagConstType:
		return &btf.Const{Type: c.typeOf(t, depth)}
	case dwarf.TagVolatileType:
		return &btf.Volatile{Type: c.typeOf(t, depth)}
	case dwarf.TagRestrictType:
		return &btf.Restrict{Type: c.typeOf(t, depth)}
	case dwarf.TagTypedef:
		return &btf.Typedef{Name: name, Type: c.typeOf(t, depth)}
	case dwarf.TagStructType, dwarf.TagClassType:
		return &btf.Struct{Name: name, Size: size}
	case dwarf.TagUnionType:
		return &btf.Union{Name: name, Size: size}
	case dwarf.TagEnumerationType:
		base, _ := c.typeOf(t, depth).(*btf.Int)
		return &btf.Enum{Name: name, Size: size, Signed: base != nil && base.Encoding == btf.Signed}
	case dwarf.TagArrayType:
		return &btf.Array{Type: c.typeOf(t, depth)}
	case dwarf.TagSubroutineType:
		return c.function(t, depth)
	}
	return &btf.Void{}
}

func encoding(t *dwarf.Entry) btf.IntEncoding {
	n, _ := t.Val(dwarf.AttrEncoding).(int64)
	switch n {
	case ateBoolean:
		return btf.Bool
	case ateSigned, ateSignedChar:
		return btf.Signed
	}
	return btf.Unsigned
}
