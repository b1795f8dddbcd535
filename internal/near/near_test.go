package near

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNames(t *testing.T) {
	all := []string{"enable", "enable-strict", "disable", "disable-idle", "replace", "enable"}
	for name, want := range map[string][]string{
		"enabel":  {"enable"},
		"strict":  {"enable-strict"},
		"isable":  {"disable", "enable", "disable-idle"},
		"replace": {"replace"},
		"xyzzy":   nil,
		"":        nil,
	} {
		assert.Equal(t, want, Names(name, slices.Values(all), 3), name)
	}
	assert.Equal(t, []string{"disable"}, Names("isable", slices.Values(all), 1))
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"abc", "abd", 1}, {"abc", "bc", 1}, {"kitten", "sitting", 3}} {
		assert.Equal(t, tt.want, distance(tt.a, tt.b))
		assert.Equal(t, tt.want, distance(tt.b, tt.a))
	}
}
