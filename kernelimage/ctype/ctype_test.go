package ctype

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/assert"
)

func TestPrototype_IsWrittenAsInC(t *testing.T) {
	long := &btf.Int{Name: "long unsigned int", Size: 8}
	char := &btf.Int{Name: "char", Size: 1}
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	text := &btf.Pointer{Target: &btf.Const{Type: char}}
	compare := &btf.FuncProto{Return: integer, Params: []btf.FuncParam{{Type: &btf.Pointer{Target: &btf.Const{Type: &btf.Void{}}}}}}
	pair := &btf.Struct{Name: "pair", Size: 16}
	triple := &btf.Struct{Name: "triple", Size: 24}
	for _, c := range []struct {
		want   string
		result btf.Type
		params []btf.FuncParam
		args   int
	}{
		{"unsigned long f(void)", long, nil, 0},
		{"int f(const char *fmt, ...)", integer, []btf.FuncParam{{Name: "fmt", Type: text}, {Type: &btf.Void{}}}, 1},
		{"char *f(char *const p)", &btf.Pointer{Target: char}, []btf.FuncParam{{Name: "p", Type: &btf.Const{Type: &btf.Pointer{Target: char}}}}, 1},
		{"void f(int (*cmp)(const void *))", &btf.Void{}, []btf.FuncParam{{Name: "cmp", Type: &btf.Pointer{Target: compare}}}, 1},
		{"void f(int (*a)[3])", &btf.Void{}, []btf.FuncParam{{Name: "a", Type: &btf.Pointer{Target: &btf.Array{Type: integer, Nelems: 3}}}}, 1},
		{"bool f(struct pair p, struct triple t)", &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool},
			[]btf.FuncParam{{Name: "p", Type: pair}, {Name: "t", Type: triple}}, 3},
		{"size_t f(enum kind k)", &btf.Typedef{Name: "size_t", Type: long}, []btf.FuncParam{{Name: "k", Type: &btf.Enum{Name: "kind", Size: 4}}}, 1},
		{"short f(unsigned char c, union u *u)", &btf.Int{Name: "short int", Size: 2, Encoding: btf.Signed},
			[]btf.FuncParam{{Name: "c", Type: &btf.Int{Name: "unsigned char", Size: 1}}, {Name: "u", Type: &btf.Pointer{Target: &btf.Union{Name: "u"}}}}, 2},
	} {
		t.Run(c.want, func(t *testing.T) {
			p := newPrototype("f", &btf.FuncProto{Return: c.result, Params: c.params})
			assert.Equal(t, c.want, p.String())
			assert.Equal(t, c.args, p.Args())
			assert.Equal(t, strings.Contains(c.want, "..."), p.Variadic)
			_, ok := p.Arg(c.args)
			assert.False(t, ok, "after the last")
		})
	}
}

func TestPrototype_OfWhatLoopsEnds(t *testing.T) {
	p := &btf.Pointer{}
	p.Target = p
	assert.Contains(t, newPrototype("f", &btf.FuncProto{Return: p}).String(), "...")
}

func TestPrototype_ArgumentsAreCountedInRegisters(t *testing.T) {
	pair := &btf.Struct{Name: "pair", Size: 16}
	p := newPrototype("f", &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Name: "p", Type: pair}, {Name: "n", Type: &btf.Int{Name: "int", Size: 4}}}})
	for i, want := range []Kind{Aggregate, Aggregate, Int} {
		got, ok := p.Arg(i)
		assert.True(t, ok)
		assert.Equal(t, want, got.Kind)
	}
}

func TestPrototype_OfAFunctionThatTakesItselfOftenIsShort(t *testing.T) {
	f := &btf.FuncProto{Return: &btf.Void{}}
	p, name := &btf.Pointer{Target: f}, strings.Repeat("n", 1<<20)
	for range 100 {
		f.Params = append(f.Params, btf.FuncParam{Name: name, Type: p})
	}
	assert.Less(t, len(newPrototype("f", f).String()), 2*maxDeclared*maxName)

	loop := &btf.Struct{Name: "s"}
	loop.Members = []btf.Member{{Type: loop}}
	typedef := &btf.Typedef{Name: "t"}
	typedef.Type = &btf.Const{Type: typedef}
	for _, typ := range []btf.Type{loop, typedef, &btf.Pointer{Target: typedef}} {
		assert.NotEmpty(t, newPrototype("f", &btf.FuncProto{Return: typ, Params: []btf.FuncParam{{Type: typ}}}).String())
	}
}
