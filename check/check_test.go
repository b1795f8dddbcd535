package check_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
)

// Every scenario is searched to its end, and breaks nothing but what is known
// of Linux.
func TestScenarios_HoldOrAreKnownFindings(t *testing.T) {
	for _, sc := range check.Scenarios() {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			r, err := check.Check(t.Context(), sc.Name, "", nil)
			require.NoError(t, err)
			assert.True(t, r.Complete)
			for _, v := range r.Violations {
				assert.Equal(t, sc.Finding.Breaks(), v.Property, v.Detail)
			}
			assert.Equal(t, sc.Finding != check.NoFinding, len(r.Violations) == 1)
			assert.True(t, r.OK())
		})
	}
}

func TestScenarios_HoldOnThreeCPUs(t *testing.T) {
	for _, sc := range check.Scenarios() {
		r, err := check.Check(t.Context(), sc.Name, "", &check.Options{CPUs: 3})
		require.NoError(t, err)
		assert.True(t, r.OK(), sc.Name)
		assert.Equal(t, 3, r.CPUs)
	}
}

// What each kind of task does alone decides what all do together.
func TestTogether_ChangesNoVerdict(t *testing.T) {
	compare := func(scenario, mutation string) {
		apart, err := check.Check(t.Context(), scenario, mutation, nil)
		require.NoError(t, err)
		together, err := check.Check(t.Context(), scenario, mutation, &check.Options{Together: true})
		require.NoError(t, err)
		require.True(t, together.Complete)
		assert.Equal(t, apart.Violations, together.Violations, "%s %s", scenario, mutation)
		assert.LessOrEqual(t, apart.States, together.States)
	}
	for _, sc := range check.Scenarios() {
		compare(sc.Name, "")
	}
	for _, mut := range check.Mutations() {
		if mut.Harmless != "" {
			compare(mut.Scenario, mut.Name)
		}
	}
}

// Each fault is found, unless it is harmless, by a way that breaks the same thing when it is gone
// again.
func TestMutations_AreFound(t *testing.T) {
	for _, mut := range check.Mutations() {
		t.Run(mut.Name, func(t *testing.T) {
			t.Parallel()
			r, err := check.Check(t.Context(), mut.Scenario, mut.Name, nil)
			if errors.Is(err, check.ErrUnfit) {
				return // it is one of an image's own core: TestKernel_MutationsOfItsOwnCore
			}
			require.NoError(t, err)
			if mut.Harmless != "" {
				assert.True(t, r.Complete)
				assert.Empty(t, r.Violations)
				return
			}
			require.Len(t, r.Violations, 1)
			found := r.Violations[0]
			assert.LessOrEqual(t, len(found.Steps), r.Depth)
			again, err := check.Replay(found.Token, nil)
			require.NoError(t, err)
			assert.Equal(t, found, again)
		})
	}
}

// Both designs in which the literal leads to a direct call show it, where that joins tracers and where it leaves them.
func TestMutations_KeepSharedIsFoundInEachDesign(t *testing.T) {
	for _, name := range []string{"tagged-join-two", "tagged-leave-two", "mini-join-two", "mini-leave-two"} {
		r, err := check.Check(t.Context(), name, "keep-shared", nil)
		require.NoError(t, err)
		assert.Len(t, r.Violations, 1, name)
	}
}

// The verdict is the same where nothing is left out: each instruction and each
// step of the core a step of the search.
func TestReduction_ChangesNoVerdict(t *testing.T) {
	for _, tt := range []struct {
		scenario, mutation string
		cpus               int
	}{
		{"enable", "", 1},
		{"disable", "", 1},
		{"second-arrives", "", 1},
		{"second-leaves", "", 1},
		{"first-leaves", "", 1},
		{"replace", "", 1},
		{"filter-list", "", 1},
		{"two-patchers", "", 1},
		{"from-a-tracer", "", 1},
		{"global-static", "", 1},
		{"protection-fixed", "", 1},
		{"set-arrives", "", 1},
		{"set-shrinks", "", 1},
		{"set-reclaimed", "", 1},
		{"set-arrives", "set-no-barrier", 1},
		{"set-preempted", "set-no-tasks-wait", 1},
		{"enable-strict", "", 2},
		{"protection", "", 2},
		{"enable", "load-literal-twice", 2},
		{"enable", "literal-halves", 2},
		{"enable", "no-text-sync", 2},
		{"disable", "no-tasks-wait", 1},
		{"disable", "plain-rcu-wait", 1},
		{"second-leaves", "no-list-grace", 1},
		{"filter-list", "no-hash-grace", 1},
		{"replace", "literal-not-restored", 1},
		{"hand-over", "load-func-first", 1},
		{"tagged-modify-near", "", 1},
		{"mini-modify", "", 1},
		{"hash-modify", "", 1},
		{"tagged-shared", "tag-beside-lost", 1},
		{"mini-modify", "mini-no-tasks-wait", 1},
		{"hash-modify", "hash-no-tasks-wait", 1},
	} {
		t.Run(fmt.Sprintf("%s/%s", tt.scenario, tt.mutation), func(t *testing.T) {
			t.Parallel()
			reduced, err := check.Check(t.Context(), tt.scenario, tt.mutation, &check.Options{CPUs: tt.cpus})
			require.NoError(t, err)
			whole, err := check.Check(t.Context(), tt.scenario, tt.mutation, &check.Options{CPUs: tt.cpus, NoReduce: true})
			require.NoError(t, err)
			require.True(t, reduced.Complete && whole.Complete)
			require.Len(t, whole.Violations, len(reduced.Violations))
			for i := range whole.Violations {
				assert.Equal(t, whole.Violations[i].Property, reduced.Violations[i].Property)
			}
			assert.Greater(t, whole.States, reduced.States)
			t.Logf("%d states, %d without reduction", reduced.States, whole.States)
		})
	}
}

func TestCheck_IsTheSameEachTime(t *testing.T) {
	for _, tt := range [][2]string{{"second-leaves", ""}, {"disable", "no-tasks-wait"}, {"global-static", ""}} {
		var first *check.Result
		for _, workers := range []int{1, 2, 4} {
			r, err := check.Check(t.Context(), tt[0], tt[1], &check.Options{Workers: workers})
			require.NoError(t, err)
			r.Seconds = 0
			if first == nil {
				first = r
			}
			assert.Equal(t, first, r, "%v, %d workers", tt, workers)
		}
	}
}

func TestCheck_SaysWhatBoundIt(t *testing.T) {
	r, err := check.Check(t.Context(), "hand-over", "", &check.Options{Memory: 1})
	require.NoError(t, err)
	assert.False(t, r.Complete)
	assert.Equal(t, "memory", r.Bound)
	assert.False(t, r.OK())
}

func TestCheck_RefusesWhatIsUnknown(t *testing.T) {
	_, err := check.Check(t.Context(), "no such", "", nil)
	require.ErrorIs(t, err, check.ErrUnknown)
	_, err = check.Check(t.Context(), "enable", "no such", nil)
	require.ErrorIs(t, err, check.ErrUnknown)
	_, err = check.Replay("enable:no such:r2:AAY", nil)
	require.ErrorIs(t, err, check.ErrToken)
}
