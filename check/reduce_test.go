package check_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/check/internal/weak"
)

// Liveness, symmetry, what was left out because something else stands for it,
// merged steps: on scenarios that nobody thought of, none of it changes whether
// a property is broken.
func TestReduction_ChangesNoVerdictOfRandomScenarios(t *testing.T) {
	const (
		scenarios = 40
		memory    = 2 << 20
	)
	held, broke := 0, 0
	for seed := range uint64(scenarios) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		sc := check.RandomScenario(rnd)
		mutations := check.FittingMutations(sc)
		mutation := mutations[rnd.IntN(len(mutations))]
		opts := check.Options{CPUs: 1, Memory: memory}
		if rnd.IntN(2) == 0 && len(sc.Tasks[0].Calls) == 1 {
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
		assert.Equal(t, want == "", got == "", "seed %d, %q, %d CPUs: %q whole, %q reduced\n%s",
			seed, mutation, opts.CPUs, want, got, sc.Describe())
		if want == "" {
			held++
		} else {
			broke++
		}
	}
	t.Logf("%d held, %d broke", held, broke)
	assert.Greater(t, held, scenarios/4)
	assert.Greater(t, broke, scenarios/8)
}

// A version stands for a newer one that holds the same only if it does not
// bring more: not a store-release for a plain store after it.
func TestReduction_KeepsAVersionThatBringsLess(t *testing.T) {
	const addr = 0x1000
	for _, tt := range []struct {
		name  string
		first weak.Kind
		want  bool
	}{
		{"plain", weak.Store, true},
		{"release", weak.Release, false},
	} {
		h, at := weak.New(), weak.Time(0)
		for _, e := range []weak.Event{
			{Kind: weak.Store, Addr: addr + 8, Size: 8, Value: 1},
			{Kind: tt.first, Addr: addr, Size: 8, Value: 1},
			{Kind: weak.Store, Addr: addr, Size: 8, Value: 2},
			{Kind: weak.Store, Addr: addr, Size: 8, Value: 1},
		} {
			var err error
			at, err = h.Append(at, e)
			require.NoError(t, err)
		}
		require.NoError(t, h.Freeze(func(uint64, uint64) (uint64, error) { return 0, nil }, func(uint64) bool { return false }))
		assert.Equal(t, tt.want, check.SameAsOlder(h, h.Location(0).Latest(at)), tt.name)
	}
}

// What is the first callback in one order of two operations is the second in
// the other: each frees what it frees, and no more.
func TestProgram_CallbacksFreeTheSameInEveryOrder(t *testing.T) {
	objects, err := check.Callbacks(check.TwoFilters())
	require.NoError(t, err)
	assert.Equal(t, []int{1, 1}, objects)
}
