package ctype

import (
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/assert"
)

func TestNewStructure_ListsFieldsOfAnonymousOnesWithTheRest(t *testing.T) {
	u32, u64 := &btf.Int{Name: "unsigned int", Size: 4}, &btf.Int{Name: "long unsigned int", Size: 8}
	inner := &btf.Union{Size: 8, Members: []btf.Member{{Name: "ip", Type: u64}, {Type: &btf.Struct{Members: []btf.Member{
		{Name: "low", Type: u32}, {Name: "high", Type: u32, Offset: 32},
	}}}}}
	s := NewStructure(&btf.Struct{Name: "rec", Size: 24, Members: []btf.Member{
		{Name: "next", Type: &btf.Pointer{Target: &btf.Struct{Name: "rec"}}},
		{Type: inner, Offset: 64},
		{Name: "flags", Type: u32, Offset: 128, BitfieldSize: 3},
		{Name: "count", Type: u32, Offset: 131, BitfieldSize: 29},
	}})
	assert.Equal(t, &Structure{Name: "rec", Size: 24, Fields: []Field{
		{Name: "next", Decl: "struct rec *next"},
		{Name: "ip", Offset: 8, Decl: "unsigned long ip"},
		{Name: "low", Offset: 8, Decl: "unsigned int low"},
		{Name: "high", Offset: 12, Decl: "unsigned int high"},
		{Name: "flags", Offset: 16, Bits: 3, Decl: "unsigned int flags"},
		{Name: "count", Offset: 16, Bit: 3, Bits: 29, Decl: "unsigned int count"},
	}}, s)
}

func TestNewStructure_EndsWhereADamagedOneHoldsItself(t *testing.T) {
	s := &btf.Struct{Name: "s"}
	s.Members = []btf.Member{{Type: s}, {Type: s}, {Name: "a", Type: &btf.Int{Name: "int", Size: 4}}}
	assert.LessOrEqual(t, len(NewStructure(s).Fields), maxFields)
}
