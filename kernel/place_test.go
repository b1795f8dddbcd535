package kernel

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
)

// nops builds a module of n bytes with one function.
func nops(name string, n int) func(base uint64) (*asm.Program, error) {
	return func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func(name)
		for range n/4 - 1 {
			b.Emit(asm.Nop())
		}
		b.Emit(asm.Ret())
		return b.Assemble(base)
	}
}

func reaches(from, to uint64) bool {
	d := int64(to - from)
	return d >= -blReach && d < blReach
}

func TestPlaceCode_IsReachedFromAllOfTheText(t *testing.T) {
	for name, img := range map[string]*kernelimage.Image{
		"kernel": builtin(t, nil), "program": workload(t, "workload-callops.elf"), "shared": workload(t, "workload-callops.so"),
	} {
		k := bootStill(t, img, nil)
		for _, size := range []int{16, 3 * emu.PageSize} {
			p, err := k.PlaceCode("m", CodeOptions{Core: true}, nops("f"+name+string(rune('0'+size%7)), size))
			require.NoError(t, err, name)
			text := img.TextBounds()
			for _, a := range []uint64{text.Start, text.End - 4} {
				for _, b := range []uint64{p.Base, p.Base + uint64(size) - 4} {
					assert.True(t, reaches(a, b) && reaches(b, a), "%s: %#x and %#x", name, a, b)
				}
			}
			assert.Equal(t, emu.Read|emu.Exec, k.Mem.Region(p.Base).Perm)
			got := make([]byte, len(p.Code))
			require.NoError(t, k.Mem.Read(p.Base, got))
			assert.Equal(t, p.Code, got)
		}
	}
}

func TestPlaceCode_FarIsBeyondReachBothWays(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	p, err := k.PlaceCode("far", CodeOptions{Far: true}, nops("f", 64))
	require.NoError(t, err)
	text := k.Image.TextBounds()
	assert.False(t, reaches(text.End-4, p.Base))
	assert.False(t, reaches(p.Base, text.End-4))
}

func TestPlaceCode_TextLargerThanBLReachesLeavesNoRoom(t *testing.T) {
	img := kernelimage.New(&kernelimage.Parts{Name: "large", Layout: builtin(t, nil).Layout(), Segments: []kernelimage.Segment{{Name: "text", Addr: kernelBase, MemSize: 130 << 20, Perm: emu.Read | emu.Exec}}})
	k := bootStill(t, img, nil)
	_, err := k.PlaceCode("m", CodeOptions{}, nops("f", 64))
	assert.ErrorIs(t, err, errno.ENOMEM)
	assert.ErrorContains(t, err, "that BL reaches from all of 0xffff800080000000..")
}

func TestPlaceCode_StaysAwayFromNull(t *testing.T) {
	k := bootStill(t, workload(t, "workload-callops.elf"), nil)
	p, err := k.PlaceCode("m", CodeOptions{}, nops("f", 64))
	require.NoError(t, err)
	assert.Greater(t, p.Base, k.Image.Bounds().Start)
}

func TestPlaceCode_StaysWithinTheKernelsHalf(t *testing.T) {
	const start = 0xffff << 48
	img := kernelimage.New(&kernelimage.Parts{Name: "lowest", Layout: builtin(t, nil).Layout(), Segments: []kernelimage.Segment{{Name: "text", Addr: start, MemSize: 0x1000, Perm: emu.Read | emu.Exec}}})
	k := bootStill(t, img, nil)
	p, err := k.PlaceCode("m", CodeOptions{}, nops("f", 64))
	require.NoError(t, err)
	assert.Greater(t, p.Base, uint64(start))
}

func TestPlaceCode_AddsSymbols(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	p, err := k.PlaceCode("exp", CodeOptions{}, nops("t_a", 0x28))
	require.NoError(t, err)
	assert.Equal(t, "t_a+0x4/0x28 [exp]", k.Symbols.Format(p.Base+4))
	_, err = k.PlaceCode("core", CodeOptions{Core: true}, nops("ftrace_caller", 0x10))
	require.NoError(t, err)
	addr, err := k.Func("ftrace_caller")
	require.NoError(t, err)
	assert.Equal(t, "ftrace_caller+0x0/0x10", k.Symbols.Format(addr))
}

func TestPlaceCode_SizeBoundsTheCode(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	passes := 0
	build := func(base uint64) (*asm.Program, error) { passes++; return nops("f", 2*emu.PageSize)(base) }
	_, err := k.PlaceCode("m", CodeOptions{Size: 64}, build)
	assert.ErrorIs(t, err, errno.ENOEXEC)

	passes = 0
	_, err = k.PlaceCode("m", CodeOptions{Size: 2 * emu.PageSize}, build)
	require.NoError(t, err)
	assert.Equal(t, 1, passes)
}

func TestPlaceCode_ReturnsTheAssemblersError(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	broken := errors.New("broken")
	_, err := k.PlaceCode("m", CodeOptions{}, func(uint64) (*asm.Program, error) { return nil, broken })
	assert.ErrorIs(t, err, broken)
	assert.ErrorContains(t, err, "module m")
}

func TestAllocData_IsZeroedNamedAndWithinReachOfADRP(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	global, err := k.AllocData("global_ops", 216, emu.Read|emu.Write)
	require.NoError(t, err)
	nop, err := k.AllocData("ftrace_nop_ops", 216, emu.Read)
	require.NoError(t, err)
	big, err := k.AllocModuleData("exp", "ring", 1<<20, emu.Read|emu.Write)
	require.NoError(t, err)

	assert.Equal(t, "global_ops+0x0/0xd8", k.Symbols.Format(global))
	assert.Equal(t, "ring+0x10/0x100000 [exp]", k.Symbols.Format(big+16))
	assert.Zero(t, global%64)
	assert.Equal(t, emu.Read, k.Mem.Region(nop).Perm)
	assert.Zero(t, load64(t, k, big+1<<20-8))
	assert.Less(t, big-kernelBase, uint64(4<<30))

	_, err = k.AllocData("huge", 1<<63, emu.Read)
	assert.ErrorIs(t, err, errno.ENOMEM)
}

func TestFunc_SuggestsNearNames(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	_, err := k.Func("traceee_relevant")
	assert.ErrorIs(t, err, errno.ENOENT)
	assert.EqualError(t, err, `no symbol "traceee_relevant": no such file or directory; is one of these meant: tracee_relevant, tracee_irrelevant?`)
	_, err = k.Func("crc32")
	assert.ErrorContains(t, err, "crc32_byte, crc32_update")
	_, err = k.Func("xyzzy")
	assert.EqualError(t, err, `no symbol "xyzzy": no such file or directory`)
	gcd, err := k.Func("gcd")
	require.NoError(t, err)
	at, err := k.Func(fmt.Sprintf("%#x", gcd))
	require.NoError(t, err)
	assert.Equal(t, gcd, at)
	_, err = k.Func(fmt.Sprintf("%#x", gcd+8))
	assert.ErrorContains(t, err, "it is gcd+0x8")
	_, err = k.Symbol("call_countr")
	assert.ErrorContains(t, err, "is one of these meant: call_counter?")
	_, err = k.Func("call_counter")
	assert.ErrorIs(t, err, errno.ENOENT)
	assert.ErrorContains(t, err, "call_counter is an object, not a function")
}
