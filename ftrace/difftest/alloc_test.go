package difftest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace/difftest"
	"callops/internal/kernels"
)

// Each allocation of each operation fails once, until the operation makes fewer: both cores
// return the same and leave the same, and nothing that was allocated is forgotten.
func TestPair_AnyAllocationMayFail(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img := open(t, series)
			var ips []uint64
			for _, s := range img.Sites()[:40] {
				ips = append(ips, s.IP)
			}
			p, err := difftest.NewPair(t.Context(), difftest.Config{Image: img, Sites: ips})
			require.NoError(t, err)
			defer func() { assert.NoError(t, p.Close()) }()
			apply := func(step difftest.Step) { require.NoError(t, p.Apply(t.Context(), step, true)) }

			apply(difftest.Step{Verb: difftest.New, Ops: 0})
			apply(difftest.Step{Verb: difftest.New, Ops: 1})
			apply(difftest.Step{Verb: difftest.Filter, Ops: 1, Sites: ips[:5]})
			apply(difftest.Step{Verb: difftest.Register, Ops: 1})
			apply(difftest.Step{Verb: difftest.NewDirect, Ops: 2})
			apply(difftest.Step{Verb: difftest.Filter, Ops: 2, Sites: ips[8:12]})
			direct := img.CallOps()
			if direct {
				apply(difftest.Step{Verb: difftest.NewDirect, Ops: 3})
				apply(difftest.Step{Verb: difftest.Filter, Ops: 3, Sites: ips[20:23]})
				apply(difftest.Step{Verb: difftest.RegisterDirect, Ops: 3})
			}
			for _, step := range []difftest.Step{
				{Verb: difftest.Filter, Ops: 0, Sites: ips[:7]},
				{Verb: difftest.Filter, Ops: 0, Sites: ips[3:9], Reset: true},
				{Verb: difftest.Filter, Ops: 0, Sites: ips[4:6], Remove: true},
				{Verb: difftest.Glob, Ops: 0, Pattern: "*"},
				{Verb: difftest.Glob, Ops: 0, Pattern: "3"},
				{Verb: difftest.Notrace, Ops: 0, Pattern: "*a*"},
				{Verb: difftest.Filter, Ops: 1, Sites: ips[2:9]}, // registered
				{Verb: difftest.Register, Ops: 0},
				{Verb: difftest.Glob, Ops: 1, Pattern: "*e*", Reset: true},
				{Verb: difftest.RegisterDirect, Ops: 2},
				{Verb: difftest.ModifyDirect, Ops: 2, Value: 1},
				{Verb: difftest.UnregisterDirect, Ops: 2, Value: 1},
				{Verb: difftest.Unregister, Ops: 0},
			} {
				if !direct && step.Verb >= difftest.RegisterDirect && step.Verb <= difftest.ModifyDirect {
					continue
				}
				again := step // what an operation may change before it fails is changed once
				for again.Fail = 1; ; again.Fail++ {
					apply(again)
					if p.Allocations() < uint64(again.Fail) {
						break
					}
				}
				t.Logf("%s: %d allocations", step, p.Allocations())
			}
		})
	}
}
