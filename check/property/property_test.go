package property

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// No two properties have a name or a claim in common.
func TestProperty_HasANameAndAClaimOfItsOwn(t *testing.T) {
	names, claims := map[string]bool{}, map[string]bool{}
	for _, p := range All() {
		assert.Regexp(t, regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`), p.String())
		assert.NotEmpty(t, p.Claim())
		assert.False(t, names[p.String()], p)
		assert.False(t, claims[p.Claim()], p)
		names[p.String()], claims[p.Claim()] = true, true

		text, err := p.MarshalText()
		require.NoError(t, err)
		var again Property
		require.NoError(t, again.UnmarshalText(text))
		assert.Equal(t, p, again)
	}
}

func TestProperty_OfNoName(t *testing.T) {
	var p Property
	assert.EqualError(t, p.UnmarshalText([]byte("luck")), `no property "luck"`)
	assert.NoError(t, p.UnmarshalText(nil))
	assert.Equal(t, None, p)
	assert.Equal(t, "property(200)", Property(200).Claim())
}
