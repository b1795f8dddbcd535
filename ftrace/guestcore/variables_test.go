package guestcore

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
)

// Where variables have symbols, the rules find what these say.
func TestFinder_FindsWhatSymbolsSay(t *testing.T) {
	for _, series := range []string{kernels.Linux7, kernels.Linux716K, kernels.Linux612} {
		t.Run(series, func(t *testing.T) {
			f := newFinder(bootOnly(t, series))
			for _, v := range variables {
				sym, err := f.k.Symbols.Lookup(v.name)
				if assert.NoError(t, err) {
					assert.Equal(t, f.k.Symbols.Format(sym.Addr), f.k.Symbols.Format(f.find(v.find)), v.name)
				}
			}
		})
	}
}

func TestFinder_FindsAllWithoutSymbols(t *testing.T) {
	f := newFinder(bootOnly(t, kernels.Linux61))
	found := map[uint64]string{}
	for _, v := range variables {
		_, err := f.k.Symbols.Lookup(v.name)
		assert.Error(t, err, "this kernel has no CONFIG_KALLSYMS_ALL")
		at := f.find(v.find)
		assert.NotZero(t, at, v.name)
		if v.name != "init_stack" { // which is where data begins
			assert.Empty(t, found[at], v.name)
		}
		found[at] = v.name
	}
}

func bootOnly(t *testing.T, series string) *kernel.Kernel {
	t.Helper()
	k, err := kernel.Boot(kept.Image(t, series), interp.New, &kernel.BootOptions{WritableRodata: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	return k
}
