package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

// A distribution's kernel looks at current, its stack protector and its CPU's
// variables all the time; tasks that are moved in the middle of it don't notice.
func TestLinux_TasksAreMovedInTheKernelsOwnCode(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
			require.NoError(t, err)
			k, err := kernel.Boot(img, interp.New, &kernel.BootOptions{CPUs: 2})
			require.NoError(t, err)
			defer k.Close()
			s, err := New(t.Context(), k, &Options{Slice: 40})
			require.NoError(t, err)
			defer s.Close()
			snprintf, err := k.Func("snprintf")
			require.NoError(t, err)
			for i := range uint64(4) {
				buf, err := k.Heap.Alloc("buffer", 256)
				require.NoError(t, err)
				format, err := k.Heap.Alloc("format", 64)
				require.NoError(t, err)
				require.NoError(t, k.Mem.Write(format, []byte("%llu %#llx %08lld %llo")))
				_, err = s.Spawn("printer", func(task *Task) error {
					for n := i << 40; n < i<<40+100; n++ {
						want := fmt.Sprintf("%d %#x %08d %o", n, n*n, n, n)
						res, err := task.Call(nil, snprintf, buf, 256, format, n, n*n, n, n)
						if err != nil {
							return err
						}
						have, err := k.Mem.ReadString(buf, 256)
						assert.NoError(t, err)
						assert.Equal(t, want, have)
						assert.EqualValues(t, len(want), res.X0)
					}
					return nil
				})
				require.NoError(t, err)
			}
			for range 20 {
				require.NoError(t, s.SynchronizeRCUTasksRude())
				require.NoError(t, s.SynchronizeRCU())
			}
			require.NoError(t, s.Wait())
		})
	}
}
