package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernelimage/module"
)

// modFilters is what a :mod: filter does when its module comes, goes, and comes again:
// on the kernel's core and on callops', the flags of the module's records.
func modFilters(t *testing.T, k *kernel.Kernel, c ftrace.Core, file string) (flags [][]ftrace.RecFlags) {
	o, err := c.NewOps("waits", c.Code().OpsFuncCount, &ftrace.OpsOptions{Extra: 8})
	require.NoError(t, err)
	require.NoError(t, c.SetFilter(o, "int_sqrt", nil))
	require.NoError(t, c.SetFilter(o, "af_alg_a*:mod:af_alg", nil))
	require.NoError(t, c.SetFilter(o, "*:mod:never_there", nil))
	require.NoError(t, c.SetNotrace(o, "af_alg_alloc*:mod:af_alg", nil))
	assert.Equal(t, []string{"*:mod:never_there", "af_alg_a*:mod:af_alg"}, c.Waiting(o, false))
	assert.Equal(t, []string{"af_alg_alloc*:mod:af_alg"}, c.Waiting(o, true))
	require.NoError(t, c.SetFilter(o, "!*:mod:never_there", nil))
	assert.Equal(t, []string{"af_alg_a*:mod:af_alg"}, c.Waiting(o, false))
	assert.ErrorIs(t, c.SetFilter(o, "*:nothing:af_alg", nil), errno.EINVAL)
	require.NoError(t, c.Register(o))

	load := func() *module.Module {
		before := len(c.Records())
		m, err := k.LoadModuleFile(t.Context(), file, nil)
		require.NoError(t, err)
		var these []ftrace.RecFlags
		for _, rec := range c.Records()[before:] {
			these = append(these, rec.Flags)
		}
		flags = append(flags, these)
		return m
	}
	m := load()
	assert.Empty(t, c.Waiting(o, false))
	assert.Empty(t, c.Waiting(o, true))
	require.NoError(t, c.SetFilter(o, "af_alg_poll:mod:af_alg", nil), "of a module that is there")
	assert.Empty(t, c.Waiting(o, false))
	require.NoError(t, k.Unload(m))
	load()
	require.NoError(t, c.Unregister(o))
	require.NoError(t, c.SetFilter(o, "*:mod:never_there", &ftrace.FilterOptions{Reset: true}))
	assert.Equal(t, []string{"*:mod:never_there"}, c.Waiting(o, false))
	require.NoError(t, c.FreeFilter(o))
	assert.Empty(t, c.Waiting(o, false))
	require.NoError(t, c.FreeOps(o))
	require.NoError(t, c.Validate())
	return flags
}

func TestSetFilter_WaitsForModules(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			file := kernels.Module(t, series, "af_alg")
			m := start(t, series, nil)
			got := modFilters(t, m.Kernel, m.Ftrace, file)

			img := kept.Image(t, series)
			k := boot(t, img)
			require.NoError(t, k.FreeInitMem())
			r, err := ftrace.New(k, &ftrace.Options{ImageCode: true, Sites: sitesOf(t, img)})
			require.NoError(t, err)
			assert.Equal(t, modFilters(t, k, r, file), got)
			var enabled int
			for _, f := range got[0] {
				if f&ftrace.RecEnabled != 0 {
					enabled++
				}
			}
			assert.Positive(t, enabled)
			assert.Less(t, enabled, len(got[0]))
		})
	}
}
