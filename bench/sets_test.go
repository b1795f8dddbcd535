package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where there is room every site has its set; with less some go by the list, and there are never
// more than may be.
func TestSets_AreBounded(t *testing.T) {
	img, err := syntheticImage(distinctSets+setOps+1, true)
	require.NoError(t, err)
	costs, err := sets(t.Context(), img, engines[0], distinctSets, distinctSets/2, 100)
	require.NoError(t, err)
	room, tight, few := costs[0], costs[1], costs[2]
	assert.Zero(t, room.OnList)
	assert.Equal(t, distinctSets, room.Live)
	for _, c := range costs {
		assert.LessOrEqual(t, c.Live, c.Limit)
		assert.LessOrEqual(t, c.Waits, setOps)
	}
	assert.Positive(t, tight.OnList)
	assert.Greater(t, few.OnList, tight.OnList)
}
