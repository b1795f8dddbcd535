package linear

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSpent_DoesNotCountWaiting(t *testing.T) {
	assert.Less(t, spent(func() { time.Sleep(100 * time.Millisecond) }), 50*time.Millisecond)
}

// work of n*n steps is what Check is to find.
func TestSpent_OfASquareGrowsMoreThanMayBe(t *testing.T) {
	sum := 0
	square := func(n int) func() {
		return func() {
			for i := range n {
				for j := range n {
					sum += i ^ j
				}
			}
		}
	}
	small, large := time.Hour, time.Hour
	for range tries {
		small, large = min(small, spent(square(1<<10))), min(large, spent(square(factor<<10)))
	}
	assert.Greater(t, float64(large)/float64(small), float64(mostGrowth))
	assert.NotZero(t, sum)
}
