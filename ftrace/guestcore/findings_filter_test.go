package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
)

// match_records returns an errno as the number of what matched, and ftrace_set_hash asks only
// whether that is 0.
func TestFinding_AFilterThatRunsOutOfMemoryIsCutShort(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		traced := func() (n int) {
			for _, rec := range l.Records() {
				n += l.Count(rec)
			}
			return n
		}
		o := l.ops("tracer", 0, "vfs_read")
		l.register(o)
		require.NoError(t, l.SetFilter(o, "vfs_*", &ftrace.FilterOptions{Reset: true}))
		require.GreaterOrEqual(t, traced(), 6)

		const hashAndTwoEntries = 4
		l.services.FailAlloc(hashAndTwoEntries + 1)
		require.NoError(t, l.SetFilter(o, "vfs_*", &ftrace.FilterOptions{Reset: true}), "ENOMEM is lost")
		assert.Equal(t, 2, traced())

		l.services.FailAlloc(3) // the first entry
		require.NoError(t, l.SetFilter(o, "gcd", &ftrace.FilterOptions{Reset: true}))
		assert.Equal(t, len(l.Records()), traced(), "the filter is empty, and stands for every function")
		assert.Empty(t, l.warned)
	})
}
