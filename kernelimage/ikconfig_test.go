package kernelimage

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/packing/packtest"
)

func TestFindConfig_BetweenItsMarks(t *testing.T) {
	want := []byte("CONFIG_FTRACE=y\nCONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS=y\n")
	gz := packtest.All(t, want)["gzip"]
	b := bytes.Join([][]byte{[]byte("IKCFG_ST is not enough alone "), []byte("IKCFG_ST"), gz, []byte("IKCFG_ED")}, nil)
	assert.Equal(t, want, findConfig(t.Context(), b))
	assert.Nil(t, findConfig(t.Context(), b[:len(b)-1]), "no end")
	assert.Nil(t, findConfig(t.Context(), []byte("IKCFG_ST\x1f\x8b\x08IKCFG_ED")), "damaged")
	assert.Nil(t, findConfig(t.Context(), nil))

	img := parsed(t, buildRaw(t, rawSpec{edit: func(image []byte) { copy(image[fixtureSize-len(b):], b) }}).b)
	assert.Equal(t, want, img.Linux.Config)
}

// FuzzConfig: whatever stands between the marks unpacks within bounds, or is no
// configuration.
func FuzzConfig(f *testing.F) {
	f.Add(packtest.All(f, []byte("CONFIG_FTRACE=y\n"))["gzip"][3:], []byte("after it"))
	f.Fuzz(func(t *testing.T, stream, behind []byte) {
		b := bytes.Join([][]byte{[]byte(configStart), stream, []byte(configEnd), behind}, nil)
		require.LessOrEqual(t, len(findConfig(t.Context(), b)), maxConfig)
	})
}
