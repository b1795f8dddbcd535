// Package kernels finds the distribution's kernels that tests run on, where
// `make kernels` puts them.
package kernels

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Series of Debian's arm64 kernels, of the cloud flavour where nothing else is
// said.
const (
	Linux7    = "7"           // CALL_OPS; kallsyms of place-relative addresses
	Linux716K = "7 16K pages" // the generic flavour, without modules
	Linux612  = "6.12"        // CALL_OPS
	Linux61   = "6.1"         // before it

	Linux612Before = "6.12, the release before" // the same source but for some fixes, linked anew
)

// CallOps are the series with CALL_OPS, and All those that tests run on, the
// newest first.
var (
	CallOps = []string{Linux7, Linux612}
	All     = []string{Linux7, Linux612, Linux61}
)

// packages are the series' packages.
var packages = map[string]string{
	Linux7:    "linux-binary-unsigned-7.*-cloud-arm64",
	Linux716K: "linux-binary-unsigned-7.*-arm64-16k",
	Linux612:  "linux-image-6.12.*-cloud-arm64-unsigned",
	Linux61:   "linux-image-6.1.0-*-cloud-arm64-unsigned",

	Linux612Before: "before/linux-image-6.12.*-cloud-arm64-unsigned",
}

// dir is the folder of the newest package of a series, unpacked. In CI one that
// is missing is a failure, elsewhere the test is skipped.
func dir(tb testing.TB, series string) string {
	tb.Helper()
	// go test takes a result from its cache unless a variable that the test
	// read has changed; files outside the module do not count.
	_ = os.Getenv("CALLOPS_KERNELS")
	cache, err := os.UserCacheDir()
	require.NoError(tb, err)
	require.Contains(tb, packages, series)
	pattern := filepath.Join(cache, "callops", "kernels", packages[series])
	found, err := filepath.Glob(pattern)
	require.NoError(tb, err)
	if len(found) == 0 {
		const missing = "no kernel of series %s; `make kernels` downloads it to %s"
		if os.Getenv("CI") == "true" {
			tb.Fatalf(missing, series, pattern)
		}
		tb.Skipf(missing, series, pattern)
	}
	return slices.MaxFunc(found, compareVersions)
}

// compareVersions compares names that hold versions: numbers in them by their
// values, so that 6.12.9 comes before 6.12.107.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		x, restA := part(a)
		y, restB := part(b)
		n, errA := strconv.ParseUint(x, 10, 64)
		m, errB := strconv.ParseUint(y, 10, 64)
		c := cmp.Compare(x, y)
		if errA == nil && errB == nil {
			c = cmp.Compare(n, m)
		}
		if c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// part cuts s after its first number, or before it where it begins with
// anything else.
func part(s string) (first, rest string) {
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	end := strings.IndexFunc(s, digit)
	if end == 0 {
		end = strings.IndexFunc(s, func(r rune) bool { return !digit(r) })
	}
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// Path is the kernel of the newest package of a series.
func Path(tb testing.TB, series string) string {
	tb.Helper()
	return one(tb, filepath.Join(dir(tb, series), "boot", "vmlinuz-*"), filepath.Join(dir(tb, series), "usr/lib/modules/*/vmlinuz*"))
}

// Version is what `uname -r` says on the newest package of a series.
func Version(tb testing.TB, series string) string {
	tb.Helper()
	return filepath.Base(Modules(tb, series))
}

// Modules is the folder of that kernel's modules, which are below kernel/ in it.
func Modules(tb testing.TB, series string) string {
	tb.Helper()
	return one(tb, filepath.Join(dir(tb, series), "lib/modules/*"), filepath.Join(dir(tb, series), "usr/lib/modules/*"))
}

// Module is one of that kernel's modules, by its name without .ko.
func Module(tb testing.TB, series, name string) string {
	tb.Helper()
	var found string
	require.NoError(tb, filepath.WalkDir(Modules(tb, series), func(path string, _ os.DirEntry, err error) error {
		if base := filepath.Base(path); base == name+".ko" || strings.HasPrefix(base, name+".ko.") {
			found = path
		}
		return err
	}))
	require.NotEmpty(tb, found, name)
	return found
}

// one returns the one file that patterns match.
func one(tb testing.TB, patterns ...string) string {
	tb.Helper()
	var found []string
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		require.NoError(tb, err)
		found = append(found, files...)
	}
	require.Len(tb, found, 1, "%s", patterns)
	return found[0]
}

// Sample is the file of samples/ftrace/ftrace-ops.ko for a series, which `make samples` builds.
func Sample(tb testing.TB, series string) string {
	tb.Helper()
	pkg := dir(tb, series)
	file := filepath.Join(filepath.Dir(filepath.Dir(pkg)), "samples", filepath.Base(pkg), "ftrace-ops.ko")
	require.FileExists(tb, file, "`make samples` builds it")
	return file
}
