package check

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage"
)

// A kernel that is slow to set up makes no search slower.
func TestCheck_SecondsLeaveSettingUpOut(t *testing.T) {
	const slow = 20 * time.Millisecond
	times := 0
	mut := &Mutation{Name: "slow"}
	mut.fault.Image = func(*kernelimage.Parts) error {
		times++
		time.Sleep(slow)
		return nil
	}
	sc, err := findScenario("enable")
	require.NoError(t, err)
	start := time.Now()
	r, err := (&trial{sc, mut, Options{}}).search(t.Context())
	all := time.Since(start)
	require.NoError(t, err)
	assert.Positive(t, times)
	assert.LessOrEqual(t, r.Seconds, (all - time.Duration(times)*slow).Seconds())
	assert.Positive(t, r.Seconds)
}
