package board

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

var all = flag.Bool("all", false, "boot every kernel with one CPU and with as many as there can be")

func TestBoot_EveryKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("boots kernels")
	}
	for _, tt := range []struct {
		series string
		cpus   int
		always bool // and not with -all alone
	}{
		{kernels.Linux61, 1, true}, {kernels.Linux61, MaxCPUs, false},
		{kernels.Linux612, 1, false}, {kernels.Linux612, MaxCPUs, true}, // one CPU has most other tests
		{kernels.Linux7, 1, true}, {kernels.Linux7, MaxCPUs, false},
		{kernels.Linux716K, 1, true}, {kernels.Linux716K, MaxCPUs, false},
	} {
		if !tt.always && !*all {
			continue
		}
		t.Run(fmt.Sprintf("%s, %d CPUs", tt.series, tt.cpus), func(t *testing.T) {
			var console []string
			m, err := Boot(t.Context(), open(t, tt.series), &Options{CPUs: tt.cpus, Console: func(line string) { console = append(console, line) }})
			require.NoError(t, err)
			defer func() { require.NoError(t, m.Close()) }()
			t.Logf("%d instructions", m.Count())
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
			testThreads(t, m)
			testTracer(t, m)
			if tt.series != kernels.Linux61 { // which has no direct calls
				testBPF(t, m)
			}
			if _, err := m.symbols.Lookup("register_fprobe_ips"); err == nil {
				testBPFOnMany(t, m)
			}
		})
	}
}
