package ikconfig

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage/internal/packing/packtest"
)

func TestFind_BetweenItsMarks(t *testing.T) {
	want := []byte("CONFIG_FTRACE=y\nCONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS=y\n")
	gz := packtest.All(t, want)["gzip"]
	b := bytes.Join([][]byte{[]byte("IKCFG_ST is not enough alone "), []byte("IKCFG_ST"), gz, []byte("IKCFG_ED")}, nil)
	assert.Equal(t, want, Find(t.Context(), b))
	assert.Nil(t, Find(t.Context(), b[:len(b)-1]), "no end")
	assert.Nil(t, Find(t.Context(), []byte("IKCFG_ST\x1f\x8b\x08IKCFG_ED")), "damaged")
	assert.Nil(t, Find(t.Context(), nil))
}

// FuzzFind: whatever stands between the marks unpacks within bounds, or is no
// configuration.
func FuzzFind(f *testing.F) {
	f.Add(packtest.All(f, []byte("CONFIG_FTRACE=y\n"))["gzip"][3:], []byte("after it"))
	f.Fuzz(func(t *testing.T, stream, behind []byte) {
		b := bytes.Join([][]byte{[]byte(start), stream, []byte(end), behind}, nil)
		require.LessOrEqual(t, len(Find(t.Context(), b)), maxSize)
	})
}
