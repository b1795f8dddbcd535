// Package kernels finds the distribution's kernels that tests run on, where
// `make kernels` puts them.
package kernels

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Series of Debian's arm64 cloud kernels.
const (
	Linux612 = "6.12."  // CALL_OPS
	Linux61  = "6.1.0-" // before it
)

// Dir is the folder of the newest package of a series, unpacked. In CI one that
// is missing is a failure, elsewhere the test is skipped.
func Dir(tb testing.TB, series string) string {
	tb.Helper()
	// go test takes a result from its cache unless a variable that the test
	// read has changed; files outside the module do not count.
	_ = os.Getenv("CALLOPS_KERNELS")
	cache, err := os.UserCacheDir()
	require.NoError(tb, err)
	pattern := filepath.Join(cache, "callops", "kernels", "linux-image-"+series+"*-cloud-arm64-unsigned")
	found, err := filepath.Glob(pattern)
	require.NoError(tb, err)
	if len(found) == 0 {
		const missing = "no kernel of series %s; `make kernels` downloads it to %s"
		if os.Getenv("CI") == "true" {
			tb.Fatalf(missing, series, pattern)
		}
		tb.Skipf(missing, series, pattern)
	}
	slices.Sort(found)
	return found[len(found)-1]
}

// Path is the kernel of the newest package of a series.
func Path(tb testing.TB, series string) string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(Dir(tb, series), "boot", "vmlinuz-*"))
	require.NoError(tb, err)
	require.Len(tb, found, 1)
	return found[0]
}
