// Package linear tests that the time of an operation grows linearly with its input.
package linear

import (
	"math"
	"runtime"
	"testing"
	"time"
)

// factor is by how much the input grows. What takes the square of it then takes
// factor*factor times as long, and mostGrowth lies far from both.
const (
	factor     = 16
	mostGrowth = 100
	tries      = 5
)

// Check runs work on an input of n, which prepare makes, and on a much larger one.
// The test fails where the time grew like a product of two lengths. n should make
// work take a millisecond or more, and work does not leave its goroutine: its time
// is what its thread has spent on a processor, so that what else the machine does
// does not count. Small and large inputs take turns, and the best of each is
// compared.
func Check(t *testing.T, n int, prepare func(n int) (work func())) {
	t.Helper()
	small, large := prepare(n), prepare(factor*n)
	least := [2]time.Duration{math.MaxInt64, math.MaxInt64}
	growth := math.Inf(1)
	for range tries {
		for range tries {
			least[0] = min(least[0], spent(small))
		}
		least[1] = min(least[1], spent(large))
		growth = float64(least[1]) / float64(max(least[0], 1))
		if growth < mostGrowth {
			return
		}
	}
	t.Errorf("%d times as much takes %.0f times as long", factor, growth)
}

// spent is how long the thread that runs work is on a processor meanwhile.
func spent(work func()) time.Duration {
	runtime.LockOSThread() // or the second clock may be another thread's
	defer runtime.UnlockOSThread()
	start := threadTime()
	work()
	return threadTime() - start
}
