package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_SeveralCPUsCountWhatOneDoes(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		run := func(cpus int) []Row {
			res, err := Run(t.Context(), &Config{Engines: []Engine{e}, CPUs: cpus, Calls: 200, Relevant: []int{0, 1, 2}, IrrelevantCounts: []int{0, 3}})
			require.NoError(t, err)
			assert.Equal(t, cpus, res.CPUs)
			for i := range res.Rows {
				assert.Positive(t, res.Rows[i].NsPerCall)
				res.Rows[i].NsPerCall = 0
			}
			return res.Rows
		}
		assert.Equal(t, run(1), run(3), "however the CPUs interleave")
	})
}
