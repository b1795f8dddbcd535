package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/internal/kernels"
	"callops/kernelimage"
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
		img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernel), nil)
		require.NoError(t, err)
		t.Cleanup(func() { img.Close() })
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
