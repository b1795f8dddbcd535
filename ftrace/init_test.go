package ftrace

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

// bootWithInit has some of the built-in kernel's functions in init text.
func bootWithInit(t *testing.T) *testKernel {
	t.Helper()
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	start, end := image.Sites()[2], image.Sites()[5]
	parts := image.Parts()
	parts.Linux = &kernelimage.Linux{InitText: kernelimage.Range{Start: start.Entry, End: end.Entry}}
	for i := 2; i < 5; i++ {
		parts.Sites[i].Init = true
	}
	k, err := kernel.Boot(kernelimage.New(parts), newIdle, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	r, err := New(k, nil)
	require.NoError(t, err)
	return &testKernel{r, t, k}
}

func TestFreeInitMem_RecordsAndFiltersForgetItsSites(t *testing.T) {
	k := bootWithInit(t)
	all := k.Records()
	init := all[2:5]
	o := k.ops("ops", k.code.OpsFuncNop, 0)
	require.NoError(t, k.SetFilterIPs(o, []uint64{init[0].IP, init[2].IP}, nil))
	both := k.ops("both", k.code.OpsFuncNop, 0)
	k.register(o, both)

	require.NoError(t, k.k.FreeInitMem())
	require.NoError(t, k.Validate())
	require.NoError(t, k.k.FreeInitMem(), "a second time nothing is left")
	left := k.Records()
	require.Len(t, left, len(all)-3)
	assert.Equal(t, all[1].IP, left[1].IP)
	assert.Equal(t, all[5].IP, left[2].IP)
	assert.Zero(t, k.Location(init[1].IP))
	_, err := k.record(init[1].IP)
	assert.ErrorIs(t, err, errno.ENOENT)
	assert.ErrorIs(t, k.SetFilterIP(both, init[1].IP, nil), errno.EINVAL)
	assert.Equal(t, 2, o.hash.filter.count, "not empty: that would stand for every function")
	words, err := k.k.Mem.ReadWords(o.hash.filter.addr, int(o.hash.filter.size(k.layout)/8))
	require.NoError(t, err)
	assert.NotContains(t, words, init[0].IP)
	k.unregister(o, both)
}

func TestFreeInitMem_LeavesWhatLinuxPrintsAfterBoot(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
			require.NoError(t, err)
			defer img.Close()
			k, err := kernel.Boot(img, newIdle, nil)
			require.NoError(t, err)
			defer k.Close()
			r, err := New(k, nil)
			require.NoError(t, err)
			assert.Len(t, r.Records(), len(img.Sites()))
			o, err := r.NewOps("all", r.Code().OpsFuncNop, nil)
			require.NoError(t, err)
			require.NoError(t, r.Register(o))
			require.NoError(t, k.FreeInitMem())
			require.NoError(t, r.Validate())
			require.NoError(t, r.Unregister(o))
			require.NoError(t, r.Validate())

			var b strings.Builder
			require.NoError(t, r.WriteAvailable(&b, false))
			if want, ok := booted[strings.Fields(img.Banner())[2]]; ok {
				assert.Equal(t, want, fmt.Sprintf("%x", sha256.Sum256([]byte(b.String()))))
			}
		})
	}
}
