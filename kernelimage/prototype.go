package kernelimage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernelimage/internal/btfsection"

	"callops/kernelimage/internal/elffile"
	"github.com/cilium/ebpf/btf"
)

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
	Variadic bool // more arguments may follow
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
// arguments behind the named ones.
func (p *Prototype) Arg(i int) (t Type, ok bool) {
	for _, t := range p.Params {
		if i -= t.registers(); i < 0 {
			return t, true
		}
	}
	return Type{}, false
}

// Prototype is that of Image for a function of the module.
func (m *Module) Prototype(kernel *Image, name string) (*Prototype, error) {
	return m.Image.prototype(name, func() (*btfTypes, error) { return m.types(kernel) })
}

// types reads the module's BTF, which builds on the kernel's, or on what the
// module keeps of that itself (.BTF.base).
func (m *Module) types(kernel *Image) (base *btfTypes, err error) {
	if m.btf == nil {
		return nil, fmt.Errorf("there is none: %w", errno.ENOENT)
	}
	if m.btfBase != nil {
		base, err = readBTF(m.btfBase)
	} else {
		base, err = kernel.types()
	}
	if err != nil {
		return nil, err
	}
	return readSplitBTF(m.btf, base)
}

// Prototype returns what the image's BTF says of a function, or of an ELF file that
// has none, its DWARF. ENOENT: there is neither, or it does not know the function;
// BTF calls those in assembler void f(void), whatever they take. EINVAL: several
// functions of that name are declared differently. It reads the types anew for each
// call.
func (img *Image) Prototype(name string) (*Prototype, error) {
	d := img.debug
	if d == nil || d.btf != nil {
		return img.prototype(name, img.types)
	}
	if d.err != nil {
		return nil, fmt.Errorf("%s: %w", img.Name, d.err)
	}
	funcs, err := d.dwarfFuncs(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", img.Name, err)
	}
	p, err := onePrototype(name, funcs)
	if err != nil {
		return nil, fmt.Errorf("%s: DWARF: %w", img.Name, err)
	}
	return p, nil
}

// types reads the BTF of the image.
func (img *Image) types() (*btfTypes, error) {
	section := img.btfSection()
	if section == nil {
		return nil, fmt.Errorf("there is none: %w", errno.ENOENT)
	}
	return readBTF(section)
}

func (img *Image) prototype(name string, types func() (*btfTypes, error)) (p *Prototype, err error) {
	t, err := types()
	if err != nil {
		return nil, fmt.Errorf("%s: BTF: %w", img.Name, err)
	}
	if p, err = t.prototype(name); err != nil {
		return nil, fmt.Errorf("%s: BTF: %w", img.Name, err)
	}
	if len(p.Params) == 0 && p.Result.Kind == Void && !img.compiled(name) {
		return nil, fmt.Errorf("%s: BTF: what %s takes is not known: %w", img.Name, name, errno.ENOENT)
	}
	return p, nil
}

// compiled says that the function has a call site: no assembler code has one.
func (img *Image) compiled(name string) bool {
	for i := range img.Symbols {
		if s := &img.Symbols[i]; s.Name == name && s.Func {
			if site, ok := img.Site(s.Addr); ok && site.Func() == s.Addr {
				return true
			}
		}
	}
	return false
}

// btfSection is the image's BTF; nil where there is none.
func (img *Image) btfSection() []byte {
	if img.debug != nil {
		return img.debug.btf
	}
	if img.Linux == nil {
		return nil
	}
	for i := range img.Segments {
		s := &img.Segments[i]
		if section, _ := btfsection.Find(s.Data); len(section) == img.Linux.BTF {
			return section
		}
	}
	return nil
}

func (t *btfTypes) prototype(name string) (p *Prototype, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("damaged: %s: %w", text.Printable(fmt.Sprint(r)), errno.ENOEXEC)
		}
	}()
	types, err := t.spec.AnyTypesByName(name)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return nil, fmt.Errorf("%s: %s: %w", name, text.Printable(err.Error()), errno.ENOEXEC)
	}
	return onePrototype(name, types)
}

// onePrototype is what all functions among types agree on.
func onePrototype(name string, types []btf.Type) (p *Prototype, err error) {
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
	}
	return p
}

// isVariadic says that BTF's parameter i stands for the dots.
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

// qualify puts const in front of what it qualifies, and behind the star of a
// pointer.
func qualify(word string, typ btf.Type, inner string, left *int) string {
	if _, pointer := typ.(*btf.Pointer); pointer {
		return declaration(typ, spaced(word, inner), left)
	}
	return word + " " + declaration(typ, inner, left)
}

func shortened(name string) string { return name[:min(len(name), elffile.MaxName)] }

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
// in front of "unsigned", and "int" behind all.
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
