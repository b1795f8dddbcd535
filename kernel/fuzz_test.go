package kernel

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/internal/edits"
	"callops/kernelimage"
)

// FuzzBoot: whatever can be read as an image boots, or is an error.
func FuzzBoot(f *testing.F) {
	var files [][]byte
	for _, file := range []string{"workload-args.elf", "workload-vmlinux.elf"} {
		b, err := os.ReadFile(filepath.Join(workloads, file))
		require.NoError(f, err)
		f.Add(uint8(len(files)), edits.At(0x60, 1))
		files = append(files, b)
	}
	f.Fuzz(func(t *testing.T, which uint8, e []byte) {
		b := edits.Apply(files[int(which)%len(files)], e)
		img, err := kernelimage.Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "fuzz", nil)
		if err != nil {
			return
		}
		defer img.Close()
		k, err := Boot(img, newStill, nil)
		if err != nil {
			return
		}
		k.Symbols.Format(img.Bounds().Start)
		require.NoError(t, k.FreeInitMem())
		require.NoError(t, k.Close())
	})
}
