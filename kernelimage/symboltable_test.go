package kernelimage

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSymbolTable_NeverChanges(t *testing.T) {
	a, b, c := Symbol{Name: "a", Addr: 0x10}, Symbol{Name: "b", Addr: 0x20}, Symbol{Name: "c", Addr: 0x10}
	one := (*SymbolTable)(nil).With(b)
	two := one.With(a, b)
	three := two.With(c)
	assert.Equal(t, []Symbol{b}, slices.Collect(one.All()))
	assert.Equal(t, []Symbol{a, b}, slices.Collect(two.All()))
	assert.Equal(t, []Symbol{a, c, b}, slices.Collect(three.All()), "at an address as they were added")
	assert.Equal(t, []Symbol{a, b}, slices.Collect(three.Without(func(s Symbol) bool { return s == c }).All()))
	assert.Equal(t, 3, three.Len())

	var many []Symbol
	for i := range 2 * fewSymbols {
		many = append(many, Symbol{Name: "m", Addr: 0x12 + 8*uint64(i)})
	}
	all := three.With(many...)
	assert.Equal(t, 3+len(many), all.Len())
	assert.True(t, slices.IsSortedFunc(slices.Collect(all.All()), func(a, b Symbol) int { return int(a.Addr) - int(b.Addr) }))
	assert.Equal(t, []Symbol{a, c, b}, slices.Collect(three.All()))
}

func TestSymbolTable_FindsByAddressAndName(t *testing.T) {
	table := (*SymbolTable)(nil).With(Symbol{Name: "x", Addr: 0x20}, Symbol{Name: "x", Addr: 0x10}, Symbol{Name: "y\n", Addr: 0x20})
	assert.Equal(t, []Symbol{{Name: "x", Addr: 0x10}, {Name: "x", Addr: 0x20}}, table.Called("x"))
	assert.Empty(t, table.Called("y"))
	assert.Equal(t, []Symbol{{Name: `y\n`, Addr: 0x20}}, table.Called(`y\n`))
	for _, tt := range []struct {
		addr        uint64
		from, after int
	}{{0, 0, 0}, {0x10, 0, 1}, {0x11, 1, 1}, {0x20, 1, 3}, {0x21, 3, 3}} {
		assert.Equal(t, tt.from, table.From(tt.addr), "%#x", tt.addr)
		assert.Equal(t, tt.after, table.After(tt.addr), "%#x", tt.addr)
	}
	var none *SymbolTable
	assert.Zero(t, none.Len())
	assert.Empty(t, none.Called("x"))
}
