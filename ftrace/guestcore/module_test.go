package guestcore_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

func TestCore_KnowsTheSitesOfAModule(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			m := start(t, series, nil)
			before := len(m.Ftrace.Records())
			mod, err := m.Kernel.LoadModuleFile(t.Context(), kernels.Module(t, series, "af_alg"), nil)
			require.NoError(t, err)
			require.NotEmpty(t, mod.InitSites)
			recs := m.Ftrace.Records()[before:]
			require.Len(t, recs, len(mod.Image.Sites()))
			for i, s := range mod.Image.Sites() {
				assert.Equal(t, s.IP, recs[i].IP)
				assert.Zero(t, recs[i].Flags)
			}
			var b strings.Builder
			require.NoError(t, m.Ftrace.WriteAvailable(&b, false))
			assert.Contains(t, b.String(), "af_alg_accept [af_alg]\n")
			assert.NotContains(t, b.String(), "af_alg_init", "init text is gone")

			found, err := m.Ftrace.Match("af_alg_a*")
			require.NoError(t, err)
			var want []uint64
			for _, rec := range recs {
				if sym, _, _ := m.Kernel.Symbols.At(rec.IP); strings.HasPrefix(sym.Name, "af_alg_a") {
					want = append(want, rec.IP)
				}
			}
			require.NotEmpty(t, want)
			assert.Len(t, found, len(want))
			for i, rec := range found {
				assert.Equal(t, want[i], rec.IP)
			}

			require.NoError(t, m.Kernel.Unload(mod))
			assert.Len(t, m.Ftrace.Records(), before)
			require.NoError(t, m.Ftrace.Validate())
		})
	}
}
