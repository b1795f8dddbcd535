package textdiff

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longest is the length of a longest common subsequence, by its definition.
func longest(a, b []int) int {
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			n[i][j] = max(n[i+1][j], n[i][j+1])
			if a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			}
		}
	}
	return n[0][0]
}

func TestAlign_FindsAShortestEditScript(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() []int {
		s := make([]int, r.IntN(30))
		for i := range s {
			s[i] = r.IntN(6)
		}
		return s
	}
	for range 3000 {
		a, b := random(), random()
		pairs := align(len(a), len(b), func(i, j int) bool { return a[i] == b[j] })
		require.Len(t, pairs, len(a))
		last, n := -1, 0
		for i, j := range pairs {
			if j < 0 {
				continue
			}
			require.Greater(t, j, last, "%v %v: %v", a, b, pairs)
			require.Equal(t, a[i], b[j], "%v %v: %v", a, b, pairs)
			last, n = j, n+1
		}
		require.Equal(t, longest(a, b), n, "%v %v: %v", a, b, pairs)
	}
}

func TestAlign_GivesUpOnWhatHasNothingInCommon(t *testing.T) {
	const n = 5000
	pairs := align(n, n, func(i, j int) bool { return i == 0 && j == 0 || i == n-1 && j == n-1 })
	assert.Equal(t, 0, pairs[0])
	assert.Equal(t, n-1, pairs[n-1])
	assert.Equal(t, -1, pairs[n/2])
}
