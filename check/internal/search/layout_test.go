package search

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every state has a number of its own, below the total, and every number is a state's.
func TestLayout_NumbersStatesWithoutGaps(t *testing.T) {
	for _, tt := range []struct {
		kinds []int
		alike bool
		room  []int
		want  uint64
	}{
		{[]int{0}, true, []int{7}, 7},
		{[]int{0, 0}, true, []int{7}, 28},
		{[]int{0, 0, 0}, true, []int{5}, 35},
		{[]int{0, 0, 0, 0, 0}, true, []int{4}, 56},
		{[]int{0, 0}, false, []int{5, 5}, 25},
		{[]int{0, 0, 1}, true, []int{4, 3}, 30},
		{[]int{0, 1, 1, 2}, true, []int{2, 4, 3}, 60},
	} {
		l := newLayout(tt.kinds, tt.alike)
		l.grow(slices.Max(tt.room))
		d := l.digits(tt.room)
		require.Equal(t, tt.want, d.total, "%v", tt.kinds)
		at, met := make([]uint32, l.comps), map[string]bool{}
		for n := range d.total {
			l.places(&d, n, at)
			require.Equal(t, n, l.number(&d, at), "%v", at)
			for i, g := range l.groups {
				places := at[g.first : g.first+g.size]
				assert.True(t, slices.IsSorted(places))
				assert.Less(t, int(slices.Max(places)), tt.room[i])
			}
			met[string(key(at))] = true
		}
		assert.Len(t, met, int(tt.want))
	}
}

func key(at []uint32) (b []byte) {
	for _, p := range at {
		b = append(b, byte(p))
	}
	return b
}

func TestLayout_AComponentThatGoesOnIsPutInOrder(t *testing.T) {
	l := newLayout([]int{0, 0, 0, 0}, true)
	l.grow(9)
	at := []uint32{1, 3, 3, 6}
	for k := range at {
		for to := range uint32(9) {
			want := slices.Clone(at)
			want[k] = to
			slices.Sort(want)
			assert.Equal(t, l.digit(want), l.replaced(at, k, to), "%d to %d", k, to)
		}
	}
}

func TestLayout_SaysWhereThereAreTooMany(t *testing.T) {
	l := newLayout([]int{0, 0, 0, 0, 0, 0, 0, 0}, true)
	l.grow(3000)
	assert.Greater(t, l.digits([]int{3000}).total, uint64(tooMany))
	assert.Less(t, l.digits([]int{90}).total, uint64(tooMany))
	l = newLayout([]int{0, 0, 0, 0, 0, 0, 0, 0}, false)
	l.grow(3000)
	assert.Greater(t, l.digits([]int{3000, 3000, 3000, 3000, 3000, 3000, 3000, 3000}).total, uint64(tooMany))
}
