package check_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/check/property"
)

// Liveness, symmetry, what was left out because something else stands for it,
// merged steps, CPUs that are searched apart: on scenarios that no author thought of, none of it changes whether
// a property is broken.
func TestReduction_ChangesNoVerdictOfRandomScenarios(t *testing.T) {
	const (
		scenarios = 40
		memory    = 8 << 20
	)
	held, broke := 0, 0
	for seed := range uint64(scenarios) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		sc := check.RandomScenario(rnd)
		mutations := check.FittingMutations(sc)
		mutation := mutations[rnd.IntN(len(mutations))]
		opts := check.Options{CPUs: 1, Memory: memory}
		if rnd.IntN(2) == 0 && sc.Calls() == 1 {
			opts.CPUs = 2
		}
		opts.NoReduce = true
		want, whole, err := check.Verdict(t.Context(), sc, mutation, opts)
		require.NoError(t, err, "seed %d: %s", seed, sc.Describe())
		if !whole.Complete {
			continue
		}
		opts.NoReduce = false
		got, r, err := check.Verdict(t.Context(), sc, mutation, opts)
		require.NoError(t, err)
		require.True(t, r.Complete)
		t.Logf("seed %d, %q, %d CPUs: %d and %d states: %q", seed, mutation, opts.CPUs, r.States, whole.States, want)
		assert.Equal(t, want == property.None, got == property.None, "seed %d, %q, %d CPUs: %q whole, %q reduced\n%s",
			seed, mutation, opts.CPUs, want, got, sc.Describe())
		if want == property.None {
			held++
		} else {
			broke++
		}
	}
	t.Logf("%d held, %d broke", held, broke)
	assert.Greater(t, held, scenarios/4)
	assert.Greater(t, broke, scenarios/8)
}

// CPUs that are searched apart break what they break together, one, two or three of them.
func TestTogether_ChangesNoVerdictOfRandomScenarios(t *testing.T) {
	const scenarios = 60
	held, broke := 0, 0
	for seed := range uint64(scenarios) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		sc := check.RandomScenario(rnd)
		mutations := check.FittingMutations(sc)
		mutation := mutations[rnd.IntN(len(mutations))]
		opts := check.Options{CPUs: 2, Together: true, Memory: 2 << 20}
		if sc.Calls() == 1 {
			opts.CPUs = 3
		}
		want, r, err := check.Verdict(t.Context(), sc, mutation, opts)
		require.NoError(t, err, "seed %d: %s", seed, sc.Describe())
		if !r.Complete {
			continue
		}
		opts.Together = false
		got, _, err := check.Verdict(t.Context(), sc, mutation, opts)
		require.NoError(t, err)
		assert.Equal(t, want, got, "seed %d, %q, %d CPUs\n%s", seed, mutation, opts.CPUs, sc.Describe())
		if want == property.None {
			held++
		} else {
			broke++
		}
	}
	t.Logf("%d held, %d broke", held, broke)
	assert.Greater(t, held, scenarios/4)
	assert.Greater(t, broke, scenarios/8)
}
