package kernelimage

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"callops/emu"
	"callops/internal/kernels"
)

func TestFreeInitMem_InitTextIsGone(t *testing.T) {
	want := buildRaw(t, rawSpec{callOps: true})
	img := parsed(t, want.b)
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, img)
		const perCPU = fixtureData
		assert.Equal(t, want.base+perCPU, m.call("init_1"), "it returns an address")
		assert.Len(t, m.Sites(), want.funcs+want.inits)
		fn, err := m.Func("init_1")
		require.NoError(t, err)
		site, ok := img.Site(fn)
		require.True(t, ok)
		assert.True(t, site.Init)

		require.NoError(t, m.FreeInitMem())
		require.NoError(t, m.FreeInitMem(), "a second time nothing is left")
		assert.Len(t, m.Sites(), want.funcs)
		assert.Len(t, img.Sites, want.funcs+want.inits, "the image stays as it is")
		_, err = m.Func("init_1")
		assert.ErrorIs(t, err, unix.ENOENT)
		assert.EqualError(t, err, "init_1 was in init text, which has been freed: no such file or directory")
		assert.Contains(t, m.Symbols.Format(fn), "init_1+0x0/", "kallsyms keeps its symbols")

		_, err = m.Call(t.Context(), 0, &emu.CallOptions{Budget: 100}, fn)
		var run *RunError
		require.ErrorAs(t, err, &run)
		assert.True(t, run.InitFreed)
		assert.Contains(t, err.Error(), "stopped in init_1+0x0/")
		assert.Contains(t, err.Error(), "0xcccccccc")
		assert.Contains(t, err.Error(), ": it is in init text, which has been freed")
		assert.Equal(t, want.base+perCPU, m.call("function_0"), "the CPU stays usable")
	})
}

func TestFreeInitMem_AnImageWithoutInitTextHasNothingToFree(t *testing.T) {
	k := bootStill(t, builtinImage(t, nil), nil)
	require.NoError(t, k.FreeInitMem())
	assert.Len(t, k.Sites(), len(k.Image.Sites))
}

func TestLinux_InitTextRunsUntilItIsFreed(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, img)
		const fn = "parse_early_options" // of a command line that is empty
		m.call(fn, m.bytes(make([]byte, 8)))
		require.NoError(t, m.FreeInitMem())
		_, err := m.try(fn, 0)
		assert.ErrorIs(t, err, unix.ENOENT)
		assert.EqualValues(t, 1000, m.call("int_sqrt", 1_000_000))
	})
}
