package kernel_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

// unmapped is an address of the kernel at which nothing lies.
const unmapped = 0xffff_ffff_dead_0000

// A load or a store that the kernel expects to fault goes on as __ex_table says.
func TestCall_AFaultGoesToItsFixup(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
			require.NoError(t, err)
			defer func() { assert.NoError(t, img.Close()) }()
			k, err := kernel.Boot(img, interp.New, nil)
			require.NoError(t, err)
			defer func() { assert.NoError(t, k.Close()) }()
			buf, err := k.Heap.Alloc("buffer", 64)
			require.NoError(t, err)
			require.NoError(t, k.Mem.Write(buf, []byte("0123456789abcdef")))
			call := func(name string, args ...uint64) int64 {
				res, err := k.CallName(t.Context(), 0, nil, name, args...)
				require.NoError(t, err, name)
				return int64(res.X0)
			}
			for _, size := range []uint64{1, 2, 4, 8, 13} {
				assert.EqualValues(t, -14, call("copy_from_kernel_nofault", buf+32, unmapped, size))
				assert.EqualValues(t, -14, call("copy_to_kernel_nofault", unmapped, buf, size))
				assert.EqualValues(t, 0, call("copy_from_kernel_nofault", buf+32, buf, size))
			}
			got, err := k.Mem.ReadString(buf+32, 13)
			require.NoError(t, err)
			assert.Equal(t, "0123456789abc", got)
			assert.EqualValues(t, -14, call("strncpy_from_kernel_nofault", buf, unmapped, 8))

			_, err = k.CallName(t.Context(), 0, nil, "strlen", unmapped)
			var fault *emu.Fault
			require.ErrorAs(t, err, &fault, "strlen expects no fault")
			assert.Equal(t, uint64(unmapped), fault.Addr)
		})
	}
}

// A word that begins on a mapped page and ends on one that is not is read as if zeroes followed.
func TestCall_AnUnalignedLoadIsPaddedWithZeroes(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
			require.NoError(t, err)
			defer func() { assert.NoError(t, img.Close()) }()
			k, err := kernel.Boot(img, interp.New, nil)
			require.NoError(t, err)
			defer func() { assert.NoError(t, k.Close()) }()
			hash := func(at uint64) uint64 {
				require.NoError(t, k.Mem.Write(at, []byte("abc\x00")))
				res, err := k.CallName(t.Context(), 0, nil, "hashlen_string", 0, at)
				require.NoError(t, err)
				return res.X0
			}
			stack := k.CPUs[0].Stack // unmapped pages are beside it
			inside := hash(stack.Start + 64)
			assert.EqualValues(t, 3, inside>>32)
			assert.Equal(t, inside, hash(stack.End-4))
		})
	}
}
