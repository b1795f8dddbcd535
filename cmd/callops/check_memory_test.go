//go:build linux && !race

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

// peakOf reads what reportPeak wrote, in MiB.
func peakOf(t *testing.T, file string) (mib int64) {
	status, err := os.ReadFile(file)
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(status), "VmHWM:")
	require.True(t, ok)
	_, err = fmt.Sscanf(after, "%d kB", &mib)
	require.NoError(t, err)
	return mib >> 10
}

// What --memory bounds is all that the process ever has in memory: states,
// frontier, tables that grow, what was not collected yet.
func TestCheck_MemoryBoundsTheProcess(t *testing.T) {
	for name, tt := range map[string]struct {
		memory int64 // MiB
		args   []string
	}{
		"built-in kernel": {80, nil},
		"one worker":      {64, []string{"--workers", "1"}},
		"an image":        {176, []string{"--image", kernels.Path(t, kernels.Linux612)}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "callops", append([]string{
				"check", "--scenario", "hand-over", "--together", "--cpus", "3", "--memory", fmt.Sprintf("%dM", tt.memory),
			}, tt.args...)...)
			file := filepath.Join(t.TempDir(), "peak")
			cmd.Env = append(os.Environ(), "PEAK="+file)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Contains(t, string(out), "bounded by memory")
			peak := peakOf(t, file)
			assert.LessOrEqual(t, peak, tt.memory)
			t.Logf("peak %d MiB of %d\n%s", peak, tt.memory, out)
		})
	}
}
