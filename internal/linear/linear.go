// Package linear tests that work grows as its input does.
package linear

import (
	"math"
	"testing"
	"time"
)

// factor is by how much the input grows. What takes the square of it then takes
// factor*factor times as long, and mostGrowth lies far from both.
const (
	factor     = 16
	mostGrowth = 100
	tries      = 3
)

// Check runs work on an input of n, which prepare makes, and on a much larger one.
// The test fails where the time grew like a product of two lengths. Times are the least of
// several and compared with one another only, so that a busy machine does not
// matter; n should make work take a millisecond or more.
func Check(t *testing.T, n int, prepare func(n int) (work func())) {
	t.Helper()
	small, large := prepare(n), prepare(factor*n)
	growth := math.Inf(1)
	for range tries {
		growth = min(growth, float64(least(large, 1))/float64(least(small, tries)))
		if growth < mostGrowth {
			return
		}
	}
	t.Errorf("%d times as much takes %.0f times as long", factor, growth)
}

func least(work func(), n int) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range n {
		start := time.Now()
		work()
		best = min(best, time.Since(start))
	}
	return max(best, 1)
}
