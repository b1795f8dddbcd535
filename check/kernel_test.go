package check_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/check/event"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
)

// What a distribution's compiler made of ftrace_caller and of the list function
// is checked as ours is.
func TestKernel_OwnTrampolines(t *testing.T) {
	callOps := []string{"enable", "disable", "second-arrives", "second-leaves", "replace", "filter-list", "protection", "protection-fixed"}
	for kernel, scenarios := range map[string][]string{
		kernels.Linux7:   callOps,
		kernels.Linux612: callOps,
		kernels.Linux61:  {"global-dynamic", "global-static"},
	} {
		img := kept.Image(t, kernel)
		for _, name := range scenarios {
			t.Run(kernel+"/"+name, func(t *testing.T) {
				r, err := check.Check(t.Context(), name, "", &check.Options{Image: img, ImageCode: true})
				require.NoError(t, err)
				for _, v := range r.Violations {
					v.WriteText(t.Output())
				}
				assert.True(t, r.OK())
				t.Logf("%d states, %.1f s", r.States, r.Seconds)
			})
		}
	}
}

// own are options that have an image's own core be the patcher.
func own(t *testing.T, kernel string) *check.Options {
	t.Helper()
	img := kept.Image(t, kernel)
	return &check.Options{Image: img, ImageCore: true}
}

// The kernel's own core is checked as callops' is, and comes to the same verdicts. Where it does
// what it says, each is the finding that Linux has.
func TestKernel_OwnCore(t *testing.T) {
	for kernel, scenarios := range map[string][]string{
		kernels.Linux7: {
			"enable", "disable", "disable-idle", "second-arrives", "third-arrives", "replace", "filter-live", "filter-list", "from-a-tracer",
			"filter-idle", "filter-idle-fixed", "direct-modify", "two-patchers", "protection",
		},
		kernels.Linux612: {
			"enable", "enable-strict", "enable-strict-fixed", "disable", "off-and-on", "second-leaves", "third-arrives", "replace", "filter-live",
			"two-sites", "filter-idle", "filter-idle-fixed", "direct-shared", "two-patchers", "protection",
		},
		kernels.Linux716K: {"replace", "protection"},
		kernels.Linux61:   {"global-static", "global-static-fixed"},
	} {
		t.Run(kernel, func(t *testing.T) {
			opts := own(t, kernel)
			for _, name := range scenarios {
				r, err := check.Check(t.Context(), name, "", opts)
				require.NoError(t, err, name)
				for _, v := range r.Violations {
					if r.Finding == check.NoFinding {
						v.WriteText(t.Output())
					}
				}
				assert.True(t, r.OK(), name)
			}
		})
	}
}

// What the kernel refuses, or what it has no fix for, can't be checked.
func TestKernel_OwnCoreFitsNotAll(t *testing.T) {
	opts := own(t, kernels.Linux7)
	for _, name := range []string{"off-and-on", "protection-fixed", "global-static", "set-arrives"} {
		_, err := check.Check(t.Context(), name, "", opts)
		require.ErrorIs(t, err, check.ErrUnfit, name)
	}
	_, err := check.Check(t.Context(), "enable", "lose-x8", opts)
	require.ErrorIs(t, err, check.ErrUnfit)
	_, err = check.Check(t.Context(), "enable", "head-before-next", nil)
	require.ErrorIs(t, err, check.ErrUnfit, "a fault of an image's own core")
}

// Faults in the kernel's machine code are found as those of callops' core are, and their
// counterexamples tell which of the kernel's instructions did what.
func TestKernel_MutationsOfItsOwnCore(t *testing.T) {
	for kernel, least := range map[string]int{kernels.Linux7: 15, kernels.Linux612: 13} {
		t.Run(kernel, func(t *testing.T) {
			opts, found := own(t, kernel), 0
			for _, mut := range check.Mutations() {
				r, err := check.Check(t.Context(), mut.Scenario, mut.Name, opts)
				if errors.Is(err, check.ErrUnfit) {
					continue
				}
				require.NoError(t, err, mut.Name)
				found++
				if mut.Harmless != "" {
					assert.Empty(t, r.Violations, mut.Name)
					continue
				}
				if !assert.Len(t, r.Violations, 1, mut.Name) {
					continue
				}
				v := r.Violations[0]
				if mut.Scenario == "replace" {
					again, err := check.Replay(v.Token, opts)
					require.NoError(t, err, mut.Name)
					assert.Equal(t, v, again, mut.Name)
				}
				for _, s := range v.Steps {
					if s.Event == event.StoreText {
						assert.Regexp(t, `^(ftrace_(make|modify)_|patch_before_literal)`, s.Where, mut.Name)
					}
				}
			}
			assert.GreaterOrEqual(t, found, least)
		})
	}
}

func TestReplay_OfAnotherCore(t *testing.T) {
	opts := own(t, kernels.Linux612)
	r, err := check.Check(t.Context(), "protection", "", opts)
	require.NoError(t, err)
	require.Len(t, r.Violations, 1)
	_, err = check.Replay(r.Violations[0].Token, &check.Options{Image: opts.Image, ImageCode: true})
	assert.ErrorIs(t, err, check.ErrToken)
}

// With the kernel's own core too the verdict is the same where nothing is left out.
func TestReduction_ChangesNoVerdictOfAnOwnCore(t *testing.T) {
	opts := own(t, kernels.Linux612)
	for _, tt := range []struct {
		scenario, mutation string
		cpus               int
	}{
		{"enable", "", 1},
		{"disable", "", 1},
		{"replace", "", 1},
		{"filter-list", "", 1},
		{"protection", "", 2},
		{"enable", "no-invalidate", 2},
		{"enable", "literal-halves", 2},
		{"replace", "literal-not-restored", 1},
		{"filter-list", "plain-filter", 1},
		{"third-arrives", "head-before-next", 1},
	} {
		at := *opts
		at.CPUs = tt.cpus
		reduced, err := check.Check(t.Context(), tt.scenario, tt.mutation, &at)
		require.NoError(t, err)
		at.NoReduce = true
		whole, err := check.Check(t.Context(), tt.scenario, tt.mutation, &at)
		require.NoError(t, err)
		require.True(t, reduced.Complete && whole.Complete)
		require.Len(t, whole.Violations, len(reduced.Violations), "%v", tt)
		for i := range whole.Violations {
			assert.Equal(t, whole.Violations[i].Property, reduced.Violations[i].Property, "%v", tt)
		}
		assert.Greater(t, whole.States, reduced.States)
	}
}
