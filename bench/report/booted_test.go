package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/bench"
	"callops/internal/kernels"
	"callops/kernelimage"
)

func TestBooted_Tables(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Booted(&b, &bench.BootedResult{
		Kernel: "vmlinuz", Func: "f",
		Triggers: []bench.BootedTrigger{
			{Way: "fentry", Overhead: 155, Trampoline: 34, Kernel: 108, Program: 13},
			{Way: "kprobe.multi", Unsupported: "operation not supported"},
		},
		Changes: []bench.BootedChange{
			{Way: "fentry", Functions: 1, Change: "attach", Instructions: 8_670_263, Nanoseconds: 8_620_000},
			{Way: "fentry", Functions: 1000, Change: "detach", Nanoseconds: 1, Waits: []bench.BootedWait{{Func: "synchronize_rcu", Times: 1000}, {Func: "rcu_barrier", Times: 1}}},
		},
	}))
	assert.Equal(t, `vmlinuz, booted: a call of f that is traced, in instructions over one that is not.

     way  overhead  ftrace  trampoline  kernel  program
  fentry       155       0          34     108       13
kprobe.multi is not there: operation not supported

To attach and to detach, on two CPUs of which one is idle: instructions, the guest's time, and what is waited for.

     way  functions  change  instructions   ms                              waits
  fentry          1  attach       8670263  8.6                               none
  fentry       1000  detach             0  0.0  1000 synchronize_rcu, rcu_barrier
`, b.String())
}

// These are the tables of docs/boot.md.
func TestRunBooted_AsDocumented(t *testing.T) {
	if testing.Short() {
		t.Skip("boots two kernels")
	}
	for series, want := range map[string][][]int{
		kernels.Linux612: {{42, 39, 0, 0, 3}, {4, 0, 0, 0, 4}, {155, 0, 34, 108, 13}, {197, 0, 47, 137, 13}, {201, 0, 51, 137, 13}},
		kernels.Linux7:   {{42, 39, 0, 0, 3}, {4, 0, 0, 0, 4}, {146, 0, 35, 98, 13}, {232, 0, 47, 172, 13}, {236, 0, 51, 172, 13}, {306, 153, 0, 140, 13}},
	} {
		t.Run(series, func(t *testing.T) {
			img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
			require.NoError(t, err)
			defer func() { assert.NoError(t, img.Close()) }()
			res, err := bench.RunBooted(t.Context(), &bench.BootedConfig{Image: img, Functions: []int{1}})
			require.NoError(t, err)
			var got [][]int
			for _, trigger := range res.Triggers {
				if trigger.Unsupported == "" {
					got = append(got, []int{trigger.Overhead, trigger.Ftrace, trigger.Trampoline, trigger.Kernel, trigger.Program})
				}
			}
			assert.Equal(t, want, got)
			for _, c := range res.Changes {
				waits := 0
				for _, w := range c.Waits {
					if w.Func != "kick_all_cpus_sync" {
						waits += w.Times
					}
				}
				switch {
				case c.Change == "attach":
					assert.Zero(t, waits, "%+v", c)
				case c.Way != "kprobe.multi":
					assert.Equal(t, 2, waits, "%+v", c)
				}
			}
		})
	}
}
