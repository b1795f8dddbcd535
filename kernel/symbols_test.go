package kernel

import (
	"strconv"
	"testing"

	"callops/kernelimage"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/linear"
)

func kernelSymbols() *Symbols {
	s := NewSymbols(
		kernelimage.Symbol{Name: "gic_handle_irq", Addr: 0x1008, Size: 0x10, Func: true},
		kernelimage.Symbol{Name: "alias_of_gic", Addr: 0x1008, Func: true},
		kernelimage.Symbol{Name: "ftrace_caller", Addr: 0x1020, Size: 0x9c, Func: true},
		kernelimage.Symbol{Name: "last", Addr: 0x1100, Func: true},
	)
	s.AddRange("", 0x1000, 0x1180)
	s.Add(kernelimage.Symbol{Name: "cb", Addr: 0x9000, Size: 0x20, Func: true, Module: "exp"},
		kernelimage.Symbol{Name: "my_tramp", Addr: 0x9028, Func: true, Module: "exp"})
	s.AddRange("exp", 0x9000, 0x9038)
	return s
}

func TestSymbols_FormatIsPercentPS(t *testing.T) {
	s := kernelSymbols()
	for addr, want := range map[uint64]string{
		0x1008:             "gic_handle_irq+0x0/0x18", // up to the next symbol, not its own size
		0x101f:             "gic_handle_irq+0x17/0x18",
		0x1024:             "ftrace_caller+0x4/0xe0",
		0x1110:             "last+0x10/0x80", // up to the end of the kernel
		0x9000:             "cb+0x0/0x28 [exp]",
		0x9030:             "my_tramp+0x8/0x10 [exp]",
		0x1180:             "0x1180",
		0x9038:             "0x9038",
		0xffff000012345678: "0xffff000012345678",
		0:                  "0x0",
	} {
		assert.Equal(t, want, s.Format(addr))
	}
}

func TestSymbols_SizeWithoutRangeIsTheSymbolsOwn(t *testing.T) {
	s := NewSymbols(kernelimage.Symbol{Name: "a", Addr: 0x100, Size: 8}, kernelimage.Symbol{Name: "b", Addr: 0x200}, kernelimage.Symbol{Name: "c", Addr: 0x300})
	assert.Equal(t, "a+0x7/0x8", s.Format(0x107))
	assert.Equal(t, "0x108", s.Format(0x108))
	assert.Equal(t, "b+0x10/0x100", s.Format(0x210))
	assert.Equal(t, "0x300", s.Format(0x300), "c has no known end")
}

func TestSymbols_FormatNameLeavesTheOffsetOut(t *testing.T) {
	s := kernelSymbols()
	name, module, ok := s.FormatName(0x9004)
	assert.Equal(t, []any{"cb", "exp", true}, []any{name, module, ok})
	name, module, ok = s.FormatName(0x100c)
	assert.Equal(t, []any{"gic_handle_irq", "", true}, []any{name, module, ok})
	_, _, ok = s.FormatName(0x500)
	assert.False(t, ok)
}

func TestSymbols_Lookup(t *testing.T) {
	s := kernelSymbols()
	s.Add(kernelimage.Symbol{Name: "cb", Addr: 0x1150, Func: true})
	s.Add(kernelimage.Symbol{Name: "last", Addr: 0x1100, Func: true})

	t.Run("adding_a_symbol_twice_does_not_make_it_ambiguous", func(t *testing.T) {
		sym, err := s.Lookup("last")
		require.NoError(t, err)
		assert.EqualValues(t, 0x1100, sym.Addr)
	})
	t.Run("unknown_name_is_ENOENT", func(t *testing.T) {
		_, err := s.Lookup("nobody")
		assert.ErrorIs(t, err, errno.ENOENT)
		assert.ErrorContains(t, err, `"nobody"`)
	})
	t.Run("ambiguous_name_is_an_error_with_all_addresses", func(t *testing.T) {
		_, err := s.Lookup("cb")
		assert.ErrorIs(t, err, errno.EINVAL)
		assert.ErrorContains(t, err, `symbol "cb" is ambiguous: it is one of cb@0x1150, cb@0x9000 [exp]`)
	})
	t.Run("name_and_address_say_which", func(t *testing.T) {
		for name, want := range map[string]uint64{"cb@0x1150": 0x1150, "cb@0x9000": 0x9000, "0x1150": 0x1150, "last@0x1100": 0x1100} {
			sym, err := s.Lookup(name)
			require.NoError(t, err, name)
			assert.Equal(t, want, sym.Addr, name)
		}
		for _, name := range []string{"cb@0x1154", "cb@", "cb@1150", "@0x1150", "0x1154", "0x", "0xffffffffffffffffff"} {
			_, err := s.Lookup(name)
			assert.ErrorIs(t, err, errno.ENOENT, name)
		}
	})
	t.Run("module_and_name_say_which", func(t *testing.T) {
		sym, err := s.Lookup("exp:cb")
		require.NoError(t, err)
		assert.EqualValues(t, 0x9000, sym.Addr)
	})
}

func TestSymbols_RemoveForgetsAModule(t *testing.T) {
	s := kernelSymbols()
	s.Remove("exp")
	_, err := s.Lookup("my_tramp")
	assert.ErrorIs(t, err, errno.ENOENT)
	assert.Equal(t, "0x9000", s.Format(0x9000))
	assert.Equal(t, "last+0x0/0x80", s.Format(0x1100))
	assert.Len(t, s.All(), 4)
}

func TestSymbols_NamesAreEscapedWhereTheyEnter(t *testing.T) {
	syms := []kernelimage.Symbol{{Name: "red\x1b[31m", Addr: 0x1000}, {Name: "plain", Addr: 0x2000}, {Name: "line\nbreak\xff", Addr: 0x3000}}
	s := NewSymbols(syms...)
	assert.Equal(t, "red\x1b[31m", syms[0].Name, "the image's own stay")
	assert.Equal(t, `red\x1b[31m+0x8/0x1000`, s.Format(0x1008))
	assert.Equal(t, `plain+0x0/0x1000`, s.Format(0x2000))
	s.Add(kernelimage.Symbol{Name: "one\tmore", Addr: 0x4000, Size: 4})
	assert.Equal(t, `one\tmore+0x0/0x4`, s.Format(0x4000))
	name, _, ok := s.FormatName(0x3000)
	assert.True(t, ok)
	assert.Equal(t, `line\nbreak\xff`, name)
}

func TestSymbols_KernelsOfAnImageShareIts(t *testing.T) {
	img := kernelimage.New(&kernelimage.Parts{Symbols: []kernelimage.Symbol{{Name: "first", Addr: 0x1000}, {Name: "second", Addr: 0x2000}}})
	s, other := SymbolsOf(img), SymbolsOf(img)
	s.Add(kernelimage.Symbol{Name: "first", Addr: 0x1000}, kernelimage.Symbol{Name: "alias", Addr: 0x1000}, kernelimage.Symbol{Name: "between", Addr: 0x1800})
	assert.Len(t, s.All(), 4)
	assert.Equal(t, "first+0x10/0x800", s.Format(0x1010), "of several at an address the image's")
	assert.Equal(t, "between+0x10/0x800", s.Format(0x1810))
	sym, err := s.Lookup("0x1800")
	assert.NoError(t, err)
	assert.Equal(t, "between", sym.Name)
	assert.Equal(t, "first+0x810/0x1000", other.Format(0x1810))
	assert.Len(t, other.All(), 2)
}

func TestSymbols_CodePlacedAtTheImagesEndHasItsOwnName(t *testing.T) {
	img := kernelimage.New(&kernelimage.Parts{Symbols: []kernelimage.Symbol{{Name: "__bss_end__", Addr: 0x1000}, {Name: "_end", Addr: 0x1000}}})
	s := SymbolsOf(img)
	s.Add(kernelimage.Symbol{Name: "ftrace_caller", Addr: 0x1000, Size: 0x100, Func: true})
	s.AddRange("", 0x1000, 0x1100)
	assert.Equal(t, "ftrace_caller+0x10/0x100", s.Format(0x1010))
}

func TestLookup_OfANameThatManyHaveIsShort(t *testing.T) {
	var syms []kernelimage.Symbol
	for i := range 1000 {
		syms = append(syms, kernelimage.Symbol{Name: "__func__.0", Addr: 0x1000 + 8*uint64(i)})
	}
	_, err := NewSymbols(syms...).Lookup("__func__.0")
	assert.ErrorIs(t, err, errno.EINVAL)
	assert.ErrorContains(t, err, `symbol "__func__.0" is ambiguous: it is one of __func__.0@0x1000, __func__.0@0x1008, `)
	assert.ErrorContains(t, err, " and 984 more: ")
}

func TestLookup_AModulesNameIsNotEmpty(t *testing.T) {
	s := NewSymbols(kernelimage.Symbol{Name: "gcd", Addr: 0x1000}, kernelimage.Symbol{Name: "lcm", Addr: 0x2000, Module: "m"})
	_, err := s.Lookup(":gcd")
	assert.ErrorIs(t, err, errno.ENOENT)
	_, err = s.Lookup("m:gcd")
	assert.ErrorIs(t, err, errno.ENOENT)
	sym, err := s.Lookup("m:lcm")
	assert.NoError(t, err)
	assert.EqualValues(t, 0x2000, sym.Addr)
}

func TestFunc_OfAnAmbiguousNameNoOtherIsProposed(t *testing.T) {
	k := &Kernel{Image: kernelimage.New(&kernelimage.Parts{}), Symbols: NewSymbols(
		kernelimage.Symbol{Name: "cleanup", Addr: 0x1000, Func: true}, kernelimage.Symbol{Name: "cleanup", Addr: 0x2000, Func: true}, kernelimage.Symbol{Name: "cleanups", Addr: 0x3000, Func: true},
	)}
	_, err := k.Func("cleanup")
	assert.EqualError(t, err, `symbol "cleanup" is ambiguous: it is one of cleanup@0x1000, cleanup@0x2000: invalid argument`)
	_, err = k.Func("cleanop")
	assert.ErrorContains(t, err, "is one of these meant: cleanup, cleanups?")
}

// oneAddress is n symbols at one address, each of which is there twice.
func oneAddress(n int) []kernelimage.Symbol {
	var syms []kernelimage.Symbol
	for i := range n {
		sym := kernelimage.Symbol{Name: "s" + strconv.Itoa(i), Addr: 0x1000, Func: true}
		syms = append(syms, sym, sym)
	}
	return syms
}

func TestSymbols_ManyAtOneAddressTakeTheirTime(t *testing.T) {
	linear.Check(t, 1<<10, func(n int) func() {
		syms := oneAddress(n)
		return func() {
			s := NewSymbols(syms...)
			s.AddRange("", 0x1000, 0x2000)
			for range n {
				name, _, _ := s.FormatName(0x1000)
				if name != "s0" {
					t.Fatal(name)
				}
			}
		}
	})
	assert.Len(t, NewSymbols(oneAddress(100)...).All(), 100)
	assert.Len(t, NewSymbols(oneAddress(2)...).All(), 2)
}

func BenchmarkSymbols_ManyAtOneAddress(b *testing.B) {
	for n := 1 << 10; n <= 1<<14; n *= 2 {
		syms := oneAddress(n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				NewSymbols(syms...).FormatName(0x1000)
			}
		})
	}
}
