package text

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPrintable_EscapesWhatATerminalActsUpon(t *testing.T) {
	for in, want := range map[string]string{
		"crc32_byte":    "crc32_byte",
		"naïve \"x\"":   "naïve \"x\"",
		"a\x1b[31mb":    `a\x1b[31mb`,
		"two\nlines":    `two\nlines`,
		"\xff":          `\xff`,
		"\u202egnp.exe": `\u202egnp.exe`,
	} {
		assert.Equal(t, want, Printable(in))
	}
}

func TestSomeOf_LongListsAreCut(t *testing.T) {
	assert.Equal(t, "a, b", SomeOf([]string{"a", "b"}))
	assert.Equal(t, strings.Repeat("a, ", maxListed-1)+"a and 1 more", SomeOf(slices.Repeat([]string{"a"}, maxListed+1)))
}

func TestFamilies(t *testing.T) {
	for want, c := range map[string]struct{ names, others []string }{
		"":                       {},
		"idle, set-*":            {[]string{"idle", "set-a", "set-b-c", "set-d", "set-e"}, []string{"settle"}},
		"set-a, set-b, set-c":    {[]string{"set-a", "set-b", "set-c"}, nil},
		"set-a, set-b, s-c, s-d": {[]string{"set-a", "set-b", "s-c", "s-d"}, nil},
		"a-1, a-2, a-3, a-4":     {[]string{"a-1", "a-2", "a-3", "a-4"}, []string{"a-5"}},
	} {
		assert.Equal(t, want, Families(c.names, c.others))
	}
}
