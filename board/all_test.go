package board

import (
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

var all = flag.Bool("all", false, "boot every kernel, with one CPU and with several")

func TestBoot_EveryKernel(t *testing.T) {
	if !*all {
		t.Skip("takes some seconds a kernel: -all")
	}
	for _, series := range []string{kernels.Linux61, kernels.Linux612, kernels.Linux7, kernels.Linux716K} {
		for _, cpus := range []int{1, MaxCPUs} {
			t.Run(series, func(t *testing.T) {
				var console []string
				m, err := Boot(t.Context(), open(t, series), &Options{CPUs: cpus, Console: func(line string) { console = append(console, line) }})
				require.NoError(t, err)
				defer func() { require.NoError(t, m.Close()) }()
				t.Logf("%s, %d CPUs: %d instructions", series, cpus, m.Count())
				log := strings.Join(console, "\n")
				assert.NotContains(t, log, "WARNING:")
				assert.NotContains(t, log, "stall")
				require.NoError(t, m.Mount(t.Context(), "sysfs", "/sys"))
				require.NoError(t, m.Mount(t.Context(), "tracefs", tracing))
				s := &shell{m, t.Context(), tracing}
				for _, line := range []string{"echo vfs_open > set_ftrace_filter", "echo function > current_tracer"} {
					out, status := s.run(line)
					assert.Zero(t, status, "%s: %s", line, out)
				}
				out, _ := s.run("cat trace_options; cat trace")
				assert.Contains(t, out, "vfs_open <-")
			})
		}
	}
}
