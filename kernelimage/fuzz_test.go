package kernelimage

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/edits"
	"callops/kernelimage/internal/elffile"
)

// FuzzParse: any bytes give an image that holds together, or an error.
func FuzzParse(f *testing.F) {
	files := [][]byte{[]byte("\x7fELF")}
	for _, file := range []string{"cold-callops.elf", "unresolved.so", "workload-args.elf", "workload-callops.so", "workload-callops-bti.elf"} {
		b, err := os.ReadFile(workloadPath(file))
		require.NoError(f, err)
		files = append(files, b)
	}
	for which := range files {
		f.Add(uint8(which), edits.At(0x28, 1, 2))
		f.Add(uint8(which), edits.Cut(0x40))
	}
	f.Fuzz(func(t *testing.T, which uint8, e []byte) {
		b := edits.Apply(files[int(which)%len(files)], e)
		img, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "fuzz", nil)
		if err != nil {
			assert.Nil(t, img)
			assert.NotContains(t, err.Error(), "\n")
			return
		}
		data, end := 0, uint64(0)
		for _, s := range img.segments {
			require.GreaterOrEqual(t, s.Addr, end)
			require.LessOrEqual(t, uint64(len(s.data)), s.MemSize)
			data, end = data+len(s.data), s.End()
		}
		require.LessOrEqual(t, data, elffile.ReadFactor*len(b))
		last := uint64(0)
		for _, s := range img.sites {
			require.Greater(t, s.IP, last)
			require.True(t, img.inText(s.IP))
			require.Equal(t, img.callOps, s.Literal != 0)
			last = s.IP
		}
		_, _ = img.TextCost()
		_ = img.Vermagic()
	})
}
