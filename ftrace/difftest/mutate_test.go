package difftest_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace/difftest"
	"callops/internal/kernels"
)

var (
	mutate      = flag.String("mutate", "", "TestCampaign_CatchesMost inverts every branch of the core of the kernel of this series")
	mutateSteps = flag.Int("mutate-steps", 400, "how many operations TestCampaign_CatchesMost applies in the longest round")
	mutateFile  = flag.String("mutate-report", "", "the file that TestCampaign_CatchesMost writes its report to")
)

// leastCaught is the part of the reached branches that has to show.
const leastCaught = 0.85

func campaign(t *testing.T, series string, steps int) *difftest.Campaign {
	return &difftest.Campaign{
		Image: open(t, series), Steps: steps, Seed: *seed,
		Modules: []string{kernels.Module(t, series, "af_alg"), kernels.Module(t, series, "authenc")},
	}
}

// It takes some minutes of two CPUs:
//
//	go test ./ftrace/difftest -run CatchesMost -v -mutate 6.12 -mutate-report report.md -timeout 0
func TestCampaign_CatchesMost(t *testing.T) {
	if *mutate == "" {
		t.Skip("it runs with -mutate 6.12: minutes")
	}
	c := campaign(t, *mutate, *mutateSteps)
	c.Done = func(o difftest.Outcome) {
		t.Logf("%-9s %-50s %-40s round %d, step %d: %.100q", o.Fate, o.Branch, o.Text(), o.Round, o.Steps, o.How)
	}
	outcomes, err := c.Run(t.Context())
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, difftest.Report(&b, outcomes))
	t.Log(b.String())
	if *mutateFile != "" {
		require.NoError(t, os.WriteFile(*mutateFile, b.Bytes(), 0o644))
	}
	tally := difftest.Count(outcomes)
	assert.Greater(t, tally.Reached(), 400)
	assert.GreaterOrEqual(t, tally.Share(), leastCaught)
}

// sample are functions each of whose first branches decides something that every
// kernel's core has to decide so.
var sample = map[string]bool{
	"ftrace_startup": true, "ftrace_make_call": true, "ftrace_make_nop": true, "ftrace_lookup_ip": true, "ftrace_set_hash": true,
	"unregister_ftrace_function": true, "register_ftrace_direct": true, "ftrace_enable_sysctl": true,
}

func TestCampaign_CatchesTheSample(t *testing.T) {
	c := campaign(t, kernels.Linux612, 150)
	seen := make(map[string]bool)
	c.Only = func(b difftest.Branch) bool {
		first := sample[b.Func] && !seen[b.Func]
		seen[b.Func] = true
		return first
	}
	outcomes, err := c.Run(t.Context())
	require.NoError(t, err)
	assert.Len(t, outcomes, len(sample))
	for _, o := range outcomes {
		assert.Contains(t, []difftest.Fate{difftest.Caught, difftest.Crashed}, o.Fate, "%s: %s", o.Branch, o.Text())
	}
}
