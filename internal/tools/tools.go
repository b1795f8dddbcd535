// Package tools finds the programs of the distribution that tests compare with.
package tools

import (
	"os"
	"os/exec"
	"testing"
)

// Need returns the path of a command. Where it is not installed, the test fails in CI and
// is skipped elsewhere; pkg is the Debian package that has it.
func Need(tb testing.TB, command, pkg string) string {
	tb.Helper()
	path, err := exec.LookPath(command)
	if err == nil {
		return path
	}
	const missing = "%s is not installed; `make tools` installs it, or apt-get install %s"
	if os.Getenv("CI") == "true" {
		tb.Fatalf(missing, command, pkg)
	}
	tb.Skipf(missing, command, pkg)
	return ""
}
