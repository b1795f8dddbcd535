package check_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/check/event"
	"callops/check/property"
)

// Every scenario and every mutation stands for a claim, and every finding is
// documented.
func TestDocs_NameAll(t *testing.T) {
	claims, figures, found := strings.Cut(doc(t, "checking.md"), "\n## Figures\n")
	require.True(t, found)
	findings := doc(t, "findings.md")
	for _, sc := range check.Scenarios() {
		assert.True(t, strings.Contains(claims, "`"+sc.Name+"`"), "%s has no %s", "checking.md", sc.Name)
		assert.True(t, strings.Contains(figures, "`"+sc.Name+"`"), "%s has no %s", "the table of checking.md", sc.Name)
		if sc.Finding != check.NoFinding {
			_, section, ok := strings.Cut(findings, fmt.Sprintf("\n## %d. ", sc.Finding))
			assert.True(t, ok, "findings.md has no %s", sc.Finding)
			section, _, _ = strings.Cut(section, "\n## ")
			assert.True(t, strings.Contains(section, "--scenario "+sc.Name+"`"), "%s has no %s", sc.Finding, sc.Name)
		}
	}
	for _, mut := range check.Mutations() {
		assert.True(t, strings.Contains(claims, "`"+mut.Name+"`"), "%s has no %s", "checking.md", mut.Name)
	}
}

// What identifies a property or an event in JSON is documented.
func TestDocs_NamePropertiesAndEvents(t *testing.T) {
	output := doc(t, "output.md")
	for _, p := range property.All() {
		assert.True(t, strings.Contains(output, "`"+p.String()+"`"), "output.md has no %s", p)
	}
	for _, k := range event.All() {
		assert.True(t, strings.Contains(output, "`"+k.String()+"`"), "output.md has no %s", k)
	}
}

func doc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	require.NoError(t, err)
	return string(text)
}
