package bench

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/internal/kernels"
	"callops/trampolines"
)

// What a design of direct calls is measured by.
func TestRunDirect_OneOpsTakesNoMoreThanAnOpsForEachAddress(t *testing.T) {
	e := engines[0]
	res, err := RunDirect(t.Context(), &DirectConfig{
		Engine: e, Sites: []int{1, 40000}, Tracers: []int{0, 2},
		Designs: []DirectDesign{{Direct: trampolines.DirectOps}, {Direct: trampolines.DirectTagged}, {Direct: trampolines.DirectMini}},
	})
	require.NoError(t, err)
	price := func(d trampolines.Direct, inRange bool, tracers int) int {
		for _, row := range res.Calls {
			if row.Design == d.String() && row.InRange == inRange && row.Tracers == tracers {
				return row.Overhead
			}
		}
		t.Fatalf("no row of %s", d)
		return 0
	}
	for _, d := range []trampolines.Direct{trampolines.DirectTagged, trampolines.DirectMini} {
		for _, inRange := range []bool{true, false} {
			assert.Equal(t, price(trampolines.DirectOps, inRange, 0), price(d, inRange, 0), d)
			assert.Less(t, price(d, inRange, 2), price(trampolines.DirectOps, inRange, 2), d)
		}
	}
	attached := 0
	for _, c := range res.Changes {
		if c.Design != trampolines.DirectOps.String() && c.Sites == 40000 && c.Change == changeAttach {
			attached++
			assert.Equal(t, 40000, c.Literals)
			assert.Equal(t, 40000, c.Instructions)
			assert.LessOrEqual(t, c.Waits+c.Callbacks, 2, "%s, %d addresses", c.Design, c.Addresses)
		}
	}
	assert.Equal(t, 4, attached)
}

// On Linux 6.12 callops' code takes what it takes on the built-in kernel, and Linux's own is beside it.
func TestRunDirect_OnAKernel(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	e := engines[0]
	own, err := RunDirect(t.Context(), &DirectConfig{Image: img, Engine: e, Sites: []int{1}, Designs: DirectDesigns(img)})
	require.NoError(t, err)
	ours, err := RunDirect(t.Context(), &DirectConfig{Engine: e, Sites: []int{1}, Designs: DirectDesigns(nil)})
	require.NoError(t, err)
	n := len(own.Calls) - len(ours.Calls)
	assert.Equal(t, ours.Calls, own.Calls[n:])
	assert.Equal(t, ours.Changes, own.Changes)
	var linux []string
	for _, row := range own.Calls[:n] {
		linux = append(linux, fmt.Sprintf("%s %t %d: %d", row.Design, row.InRange, row.Tracers, row.Overhead))
	}
	assert.Equal(t, []string{
		"Linux's own true 0: 4", "Linux's own true 1: 203", "Linux's own true 2: 253", "Linux's own true 10: 653",
		"Linux's own false 0: 10", "Linux's own false 1: 203", "Linux's own false 2: 253", "Linux's own false 10: 653",
	}, linux)
}

// A tracer pays nothing for direct calls that its site has not, and with tags less than now.
func TestRun_TracersWithEachDesignOfDirectCalls(t *testing.T) {
	want := map[trampolines.Direct]int{trampolines.DirectTagged: 30}
	for _, d := range trampolines.Directs() {
		t.Run(d.String(), func(t *testing.T) {
			res := measure(t, &Config{Engines: engines[:1], Schemes: []ftrace.Scheme{ftrace.CallOps}, Direct: d, Relevant: []int{1}, Calls: 10})
			trampoline := 31
			if n, ok := want[d]; ok {
				trampoline = n
			}
			assert.Equal(t, trampoline, res.Rows[1].Trampoline)
		})
	}
}
