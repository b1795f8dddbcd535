package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board/schedule"
	"callops/internal/kernels"
)

func TestSchedule_ListsWorkloadsAndFaults(t *testing.T) {
	code, out, errs := runIn(nil, "schedule", "--list")
	require.Equal(t, exitDone, code, errs)
	workloads, faults, ok := strings.Cut(out, "\n\nfaults:\n")
	require.True(t, ok, out)
	for _, w := range schedule.Workloads {
		assert.Contains(t, workloads, "  "+w.Name+" ")
	}
	for _, f := range schedule.Faults {
		assert.Contains(t, faults, "  "+f.Name+" ")
		assert.Contains(t, faults, "("+f.Workload+")")
	}
}

func TestSchedule_RefusesWrongUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "--image is missing"},
		{[]string{"--image", "x", "--workload", "none"}, `no workload "none", there are register, two-ops, `},
		{[]string{"--image", "x", "--fault", "none"}, `no fault "none", there are no-wait, no-wait-third, `},
		{[]string{"--image", "x", "--workload", "register", "--fault", "no-wait"}, "--fault has its own workload"},
		{[]string{"--image", "x", "--policy", "none"}, "exhaustive"},
		{[]string{"--image", "x", "--replay", ""}, "no token of a schedule"},
		{[]string{"--image", "x", "--replay", "s1///00000000/0:1"}, "no token of a schedule"},
		{[]string{"--image", "x", "--replay", "none"}, "no token of a schedule"},
		{[]string{"--image", "x", "--replay", "s1/register//00000000/0:x"}, "no token of a schedule"},
		{[]string{"--image", "x", "--replay", "s1/none//00000000/0:1"}, `no workload "none"`},
		{[]string{"--image", "x", "--replay", "s1/register//00000000/0:1", "--workload", "register"}, "--replay goes without"},
	} {
		code, _, errs := runIn(nil, append([]string{"schedule"}, test.args...)...)
		assert.Equal(t, exitUsage, code, "%q: %s", test.args, errs)
		assert.Contains(t, errs, test.want, "%q", test.args)
	}
}

func TestSchedule_FindsAFaultAndReplaysItsToken(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	image := kernels.Path(t, kernels.Linux612)
	file := filepath.Join(t.TempDir(), "race.perfetto-trace")
	code, out, errs := runIn(nil, "schedule", "--image", image, "--fault", "list-order", "--output", file)
	require.Equal(t, exitDone, code, errs)
	lines := strings.Split(out, "\n")
	require.Greater(t, len(lines), 3, out)
	assert.Regexp(t, `^list-order: \d+ schedules, \d+ instructions, seed \d+ failed$`, lines[0])
	tracks, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, name := range []string{"CPU 0", "CPU 1", "patcher", "caller", "register third"} {
		assert.Contains(t, string(tracks), name)
	}

	failure, token := lines[1], lines[2]
	code, again, errs := runIn(nil, "schedule", "--image", image, "--replay", token)
	require.Equal(t, exitDone, code, errs)
	assert.True(t, strings.HasPrefix(again, failure+"\n"+token+"\n"), again)

	code, _, errs = runIn(nil, "schedule", "--image", image, "--replay", "s1/third-ops/list-order/00000000/0:1")
	assert.Equal(t, exitUsage, code, errs)
	assert.Contains(t, errs, "another kernel")
}
