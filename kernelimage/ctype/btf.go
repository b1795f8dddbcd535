package ctype

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"callops/internal/errno"
	"callops/internal/text"
)

// FromBTF returns the prototype that all functions among types agree on. ENOENT: there
// is none; EINVAL: they are declared differently.
func FromBTF(name string, types []btf.Type) (p *Prototype, err error) {
	for _, typ := range types {
		fn, ok := typ.(*btf.Func)
		if !ok {
			continue
		}
		proto, ok := fn.Type.(*btf.FuncProto)
		if !ok {
			continue
		}
		q := newPrototype(name, proto)
		if p != nil && p.decl != q.decl {
			return nil, fmt.Errorf("%s is declared as %s, and as %s: %w", name, p, q, errno.EINVAL)
		}
		p = q
	}
	if p == nil {
		return nil, fmt.Errorf("no function %s: %w", name, errno.ENOENT)
	}
	return p, nil
}

func newPrototype(name string, proto *btf.FuncProto) *Prototype {
	p := &Prototype{Name: name, Result: typeOf(proto.Return), decl: text.Printable(declare(proto, name))}
	for i, param := range proto.Params {
		if isVariadic(proto, i) {
			p.Variadic = true
			break
		}
		p.Params = append(p.Params, typeOf(param.Type))
		p.Printed = append(p.Printed, paramOf(param))
	}
	return p
}

// isVariadic reports whether BTF's parameter i stands for the dots.
func isVariadic(proto *btf.FuncProto, i int) bool {
	_, void := proto.Params[i].Type.(*btf.Void)
	return void && i == len(proto.Params)-1 && proto.Params[i].Name == ""
}

func typeOf(typ btf.Type) Type {
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Int:
		switch {
		case t.Encoding == btf.Bool:
			return Type{Kind: Bool, Size: int(t.Size)}
		default:
			return Type{Kind: Int, Size: int(t.Size), Signed: t.Encoding == btf.Signed}
		}
	case *btf.Enum:
		return Type{Kind: Int, Size: int(t.Size), Signed: t.Signed}
	case *btf.Pointer:
		_, isFunc := btf.UnderlyingType(t.Target).(*btf.FuncProto)
		return Type{Kind: Pointer, Size: 8, Func: isFunc}
	case *btf.Struct:
		return Type{Kind: Aggregate, Size: int(t.Size)}
	case *btf.Union:
		return Type{Kind: Aggregate, Size: int(t.Size)}
	}
	return Type{}
}

// maxName bounds names, in bytes: KSYM_NAME_LEN.
const maxName = 512

// maxDeclared bounds what a declaration is made of: in a damaged one, functions
// take themselves, and often.
const maxDeclared = 256

// declare writes the declaration of inner, which has the type typ, as C does:
// from the name outwards.
func declare(typ btf.Type, inner string) string {
	left := maxDeclared
	return declaration(typ, inner, &left)
}

func declaration(typ btf.Type, inner string, left *int) string {
	if *left--; *left < 0 {
		return "..." + inner
	}
	switch t := typ.(type) {
	case *btf.Pointer:
		switch btf.UnderlyingType(t.Target).(type) {
		case *btf.FuncProto, *btf.Array:
			if t.Target.TypeName() == "" { // not through a typedef
				return declaration(t.Target, "(*"+inner+")", left)
			}
		}
		return declaration(t.Target, "*"+inner, left)
	case *btf.Const:
		return qualify("const", t.Type, inner, left)
	case *btf.Volatile:
		return qualify("volatile", t.Type, inner, left)
	case *btf.Restrict:
		return qualify("restrict", t.Type, inner, left)
	case *btf.TypeTag:
		return declaration(t.Type, inner, left)
	case *btf.Array:
		return declaration(t.Type, fmt.Sprintf("%s[%d]", inner, t.Nelems), left)
	case *btf.FuncProto:
		var params []string
		for i, p := range t.Params {
			if *left < 0 || isVariadic(t, i) {
				params = append(params, "...")
				break
			}
			params = append(params, declaration(p.Type, shortened(p.Name), left))
		}
		if len(params) == 0 {
			params = []string{"void"}
		}
		return declaration(t.Return, inner+"("+strings.Join(params, ", ")+")", left)
	}
	return spaced(specifier(typ), inner)
}

// qualify puts const in front of what it qualifies, and after the star of a
// pointer.
func qualify(word string, typ btf.Type, inner string, left *int) string {
	if _, pointer := typ.(*btf.Pointer); pointer {
		return declaration(typ, spaced(word, inner), left)
	}
	return word + " " + declaration(typ, inner, left)
}

func shortened(name string) string { return name[:min(len(name), maxName)] }

func spaced(a, b string) string {
	if a == "" || b == "" || strings.HasSuffix(a, "*") {
		return a + b
	}
	return a + " " + b
}

// specifier is what stands in front of a declaration.
func specifier(typ btf.Type) string {
	name := shortened(typ.TypeName())
	if name == "" {
		name = "{...}"
	}
	switch t := typ.(type) {
	case *btf.Void:
		return "void"
	case *btf.Int:
		if t.Encoding == btf.Bool {
			return "bool"
		}
		return usualName(name)
	case *btf.Struct:
		return "struct " + name
	case *btf.Union:
		return "union " + name
	case *btf.Enum:
		return "enum " + name
	case *btf.Fwd:
		if t.Kind == btf.FwdUnion {
			return "union " + name
		}
		return "struct " + name
	}
	return name
}

// usualName writes an integer type as kernel sources do: compilers put "long"
// in front of "unsigned", and "int" after all.
func usualName(name string) string {
	words := strings.Fields(name)
	if n := len(words); n > 1 && words[n-1] == "int" && words[n-2] != "unsigned" || n > 2 {
		words = slices.DeleteFunc(words, func(w string) bool { return w == "int" })
	}
	if i := slices.Index(words, "unsigned"); i > 0 {
		words = append([]string{"unsigned"}, slices.Delete(words, i, i+1)...)
	}
	return strings.Join(words, " ")
}
