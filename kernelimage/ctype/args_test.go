package ctype

import (
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/assert"
)

// As print_function_args writes them (kernel/trace/trace_output.c, Linux 6.15).
func TestFormatArgs(t *testing.T) {
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	long := &btf.Int{Name: "unsigned long", Size: 8}
	kind := &btf.Enum{Name: "kind", Size: 4, Values: []btf.EnumValue{{Name: "NONE", Value: 0}, {Name: "ONE", Value: 1}}}
	pair := &btf.Struct{Name: "pair", Size: 16}
	big := &btf.Struct{Name: "big", Size: 24}
	regs := []uint64{1, 0xdeadbeef_ffffffff, 2, 3, 4, 5, 6, 7}
	for _, c := range []struct {
		want   string
		params []btf.FuncParam
	}{
		{"", nil},
		{"a=0x1, b=-1", []btf.FuncParam{{Name: "a", Type: long}, {Name: "b", Type: integer}}},
		{"p=0x1, c=0xff", []btf.FuncParam{{Name: "p", Type: &btf.Pointer{Target: integer}}, {Name: "c", Type: &btf.Int{Name: "unsigned char", Size: 1}}}},
		{"k=1 [ONE], 0xdeadbeefffffffff, k=2", []btf.FuncParam{{Name: "k", Type: kind}, {Type: long}, {Name: "k", Type: kind}}},
		{"s=(STRUCT)[0x1:0xdeadbeefffffffff], n=2", []btf.FuncParam{{Name: "s", Type: pair}, {Name: "n", Type: integer}}},
		{"s=0x1, u=(UNION)[0xdeadbeefffffffff]", []btf.FuncParam{{Name: "s", Type: big}, {Name: "u", Type: &btf.Union{Name: "u", Size: 8}}}},
		{"fmt=0x1, ...", []btf.FuncParam{{Name: "fmt", Type: long}, {Type: &btf.Void{}}}},
		{"0x1, 0xdeadbeefffffffff, 0x2, 0x3, 0x4, 0x5, ...", []btf.FuncParam{{Type: long}, {Type: long}, {Type: long}, {Type: long}, {Type: long}, {Type: long}, {Type: long}}},
		{"0x1, 0xdeadbeefffffffff, 0x2, 0x3, 0x4, (STRUCT)[0x5:...]", []btf.FuncParam{{Type: long}, {Type: long}, {Type: long}, {Type: long}, {Type: long}, {Type: pair}}},
	} {
		t.Run(c.want, func(t *testing.T) {
			assert.Equal(t, c.want, newPrototype("f", &btf.FuncProto{Return: &btf.Void{}, Params: c.params}).FormatArgs(regs))
		})
	}
}
