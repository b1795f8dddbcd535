package difftest_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"callops/ftrace/difftest"
	"callops/internal/kernels"
)

var mutate = flag.String("mutate", "", "TestCampaign inverts every branch of the core of the kernel of this series")
var mutateOnly = flag.String("mutate-only", "", "")
var mutateSteps = flag.Int("mutate-steps", 500, "")

func TestCampaign(t *testing.T) {
	if *mutate == "" {
		t.Skip("-mutate 6.12 does it")
	}
	start := time.Now()
	c := &difftest.Campaign{Image: open(t, *mutate), Steps: *mutateSteps, Seed: *seed,
		Modules: []string{kernels.Module(t, *mutate, "af_alg"), kernels.Module(t, *mutate, "authenc")}}
	n := map[difftest.Fate]int{}
	c.Only = func(b difftest.Branch) bool { return *mutateOnly == "" || b.Func == *mutateOnly }
	c.Done = func(o difftest.Outcome) {
		n[o.Fate]++
		fmt.Printf("%-9v %d %-4d %-60s %-40s %.150q %v\n", o.Fate, o.Round, o.Steps, o.Branch, o.Text(), o.How, time.Since(start))
	}
	_, err := c.Run(t.Context())
	require.NoError(t, err)
	fmt.Println(n, time.Since(start))
}
