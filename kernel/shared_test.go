package kernel

import (
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// Kernels that are booted from one image, run and closed in parallel see the same of
// it, and the image may be closed while they run.
func TestImage_IsSharedByKernelsAndClosedMeanwhile(t *testing.T) {
	const kernelsOfIt = 4
	for name, open := range map[string]func() *kernelimage.Image{
		"built-in": func() *kernelimage.Image { return builtin(t, nil) },
		"ELF":      func() *kernelimage.Image { return workload(t, "workload-callops.elf") },
		"raw": func() *kernelimage.Image {
			img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
			require.NoError(t, err)
			return img
		},
	} {
		t.Run(name, func(t *testing.T) {
			img := open()
			sites, symbols, site := img.Sites(), len(img.Symbols()), img.Sites()[0]
			word, ok := img.Word(site.IP)
			require.True(t, ok)
			hasBTF := img.Linux() != nil
			var booted, done sync.WaitGroup
			closed := make(chan struct{})
			booted.Add(kernelsOfIt)
			for id := range kernelsOfIt {
				done.Go(func() {
					k, err := Boot(img, interp.New, &BootOptions{HeapSize: 1 << 20})
					booted.Done()
					if !assert.NoError(t, err) {
						return
					}
					same := func() {
						w, ok := img.Word(site.IP)
						assert.True(t, ok)
						assert.Equal(t, word, w)
						assert.Equal(t, sites[id], k.Image.Sites()[id])
						assert.Len(t, img.Symbols(), symbols)
						res, err := k.CallName(t.Context(), 0, nil, "gcd", 84, 36)
						assert.NoError(t, err)
						assert.EqualValues(t, 12, res.X0)
						if hasBTF {
							_, err := k.Prototype("gcd")
							assert.NoError(t, err)
						}
					}
					same()
					assert.NoError(t, k.Mem.Store32(site.IP, uint32(id)), "text is the guest's own")
					k.Layout.Ops.Size = id
					<-closed
					same()
					w, err := k.Mem.Load32(site.IP)
					assert.NoError(t, err)
					assert.EqualValues(t, id, w)
					assert.NoError(t, k.Close())
					assert.NoError(t, k.Close())
				})
			}
			booted.Wait()
			require.NoError(t, img.Close())
			close(closed)
			done.Wait()
			require.NoError(t, img.Close())
			if !hasBTF { // holds nothing
				return
			}
			_, err := Boot(img, interp.New, nil)
			assert.ErrorIs(t, err, os.ErrClosed)
			_, ok = img.Word(site.IP)
			assert.False(t, ok)
			_, err = img.Prototype("gcd")
			assert.ErrorIs(t, err, os.ErrClosed)
			assert.Empty(t, img.Banner())
			assert.Equal(t, sites, img.Sites(), "what is no byte of the file stays")
		})
	}
}
