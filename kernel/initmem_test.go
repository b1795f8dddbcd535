package kernel

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage"
	"callops/kernelimage/module"
)

// withInit is the built-in kernel with one of its functions as init text.
func withInit(t *testing.T, name string) *kernelimage.Image {
	t.Helper()
	img := builtin(t, nil)
	i := slices.IndexFunc(img.Symbols(), func(s kernelimage.Symbol) bool { return s.Name == name })
	require.GreaterOrEqual(t, i, 0)
	fn := img.Symbols()[i]
	parts := img.Parts()
	parts.Linux = &kernelimage.Linux{InitText: kernelimage.Range{Start: fn.Addr, End: fn.Addr + fn.Size}}
	for i := range parts.Sites {
		parts.Sites[i].Init = parts.Linux.InitText.Contains(parts.Sites[i].Func())
	}
	img = kernelimage.New(parts)
	require.Equal(t, 1, img.InitSites())
	return img
}

func TestFreeInitMem_InitTextIsGone(t *testing.T) {
	img := withInit(t, "gcd")
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, img)
		assert.EqualValues(t, 12, m.call("gcd", 84, 36))
		all := len(img.Sites())
		assert.Len(t, m.Sites(), all)
		fn, err := m.Func("gcd")
		require.NoError(t, err)

		require.NoError(t, m.FreeInitMem())
		require.NoError(t, m.FreeInitMem(), "a second time nothing is left")
		assert.Len(t, m.Sites(), all-1)
		assert.Len(t, img.Sites(), all, "the image stays as it is")
		_, err = m.Func("gcd")
		assert.ErrorIs(t, err, errno.ENOENT)
		assert.EqualError(t, err, "gcd was in init text, which has been freed: no such file or directory")
		assert.Contains(t, m.Symbols.Format(fn), "gcd+0x0/", "kallsyms keeps its symbols")

		_, err = m.Call(t.Context(), 0, &emu.CallOptions{Budget: 100}, fn)
		var run *RunError
		require.ErrorAs(t, err, &run)
		assert.True(t, run.InitFreed)
		assert.Contains(t, err.Error(), "stopped in gcd+0x0/")
		assert.Contains(t, err.Error(), "0xcccccccc")
		assert.Contains(t, err.Error(), ": it is in init text, which has been freed")
		assert.EqualValues(t, 610, m.call("fib", 15), "the CPU stays usable")
	})
}

func TestFreeInitMem_AnImageWithoutInitTextHasNothingToFree(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	require.NoError(t, k.FreeInitMem())
	assert.Len(t, k.Sites(), len(k.Image.Sites()))
}

func TestFreeInitMem_ARefusalKeepsInitText(t *testing.T) {
	k := bootStill(t, withInit(t, "gcd"), nil)
	refused := errors.New("refused")
	stop := k.Subscribe(func(e Event, m *module.Module) error {
		assert.Equal(t, InitFreeing, e)
		assert.Nil(t, m)
		return refused
	})
	assert.ErrorIs(t, k.FreeInitMem(), refused)
	_, err := k.Func("gcd")
	assert.NoError(t, err)
	stop()
	assert.NoError(t, k.FreeInitMem())
}

func TestLinux_InitTextRunsUntilItIsFreed(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, img)
		const fn = "parse_early_options" // of a command line that is empty
		m.call(fn, m.bytes(make([]byte, 8)))
		require.NoError(t, m.FreeInitMem())
		_, err := m.try(fn, 0)
		assert.ErrorIs(t, err, errno.ENOENT)
		assert.EqualValues(t, 1000, m.call("int_sqrt", 1_000_000))
	})
}

// mark_rodata_ro: what init code wrote is read-only once it is gone.
func TestLinux_ReadOnlyDataCanBeWrittenUntilInitIsFreed(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	i := slices.IndexFunc(img.Segments(), func(s kernelimage.Segment) bool { return s.Name == "rodata" })
	require.GreaterOrEqual(t, i, 0)
	at := img.Segments()[i].Addr
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) {
			k, err := Boot(img, e.New, &BootOptions{WritableRodata: true})
			require.NoError(t, err)
			defer func() { require.NoError(t, k.Close()) }()
			_, err = k.CallName(t.Context(), 0, nil, "memset", at, 0x55, 8)
			require.NoError(t, err)
			require.NoError(t, k.FreeInitMem())
			_, err = k.CallName(t.Context(), 0, nil, "memset", at, 0, 8)
			assert.ErrorIs(t, err, errno.EFAULT)
			v, err := k.Mem.Load64(at)
			require.NoError(t, err)
			assert.EqualValues(t, 0x5555_5555_5555_5555, v)
		})
	}
}
