package event

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKind_HasANameOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for _, k := range All() {
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, k.String())
		assert.False(t, names[k.String()], k)
		names[k.String()] = true

		text, err := k.MarshalText()
		require.NoError(t, err)
		var again Kind
		require.NoError(t, again.UnmarshalText(text))
		assert.Equal(t, k, again)
	}
	var k Kind
	assert.EqualError(t, k.UnmarshalText([]byte("sleep")), `no event "sleep"`)
	assert.Equal(t, "event(200)", Kind(200).String())
}

func TestAgent_IsItsText(t *testing.T) {
	for want, agent := range map[string]Agent{"patcher": Patcher, "callback": Callback, "cpu0": CPU(0), "cpu7": CPU(7)} {
		assert.Equal(t, want, agent.String())
		var again Agent
		require.NoError(t, again.UnmarshalText([]byte(want)))
		assert.Equal(t, agent, again)
	}
	for _, text := range []string{"", "cpu", "cpu-1", "cpux", "cpu256", "Patcher"} {
		var a Agent
		assert.EqualError(t, a.UnmarshalText([]byte(text)), `no agent "`+text+`"`)
	}
}
