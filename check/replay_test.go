package check

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	token = "enable:load-literal-twice:r2:AAYABwAIAgACAQIAAgE"
	way   = "enable:load-literal-twice:r2:" // what it begins with
)

// What is no token is refused as that, whatever is wrong with it.
func TestReplay_RefusesWhatIsNoToken(t *testing.T) {
	_, err := Replay(token, nil)
	require.NoError(t, err)
	for bad, why := range map[string]string{
		"":                                   "the number of its parts is 1, not 4",
		":::":                                `scenario "": unknown`,
		"enable:load-literal-twice:r2":       "the number of its parts is 3, not 4",
		token + ":":                          "the number of its parts is 5, not 4",
		"enable:no such:r2:":                 `mutation "no such": unknown`,
		"enable:::":                          `mode ""`,
		"enable::x2:":                        `mode "x2"`,
		"enable::r:":                         `"" CPUs`,
		"enable::r0:":                        `"0" CPUs`,
		"enable::r9:":                        `"9" CPUs`,
		"enable::w-1:":                       `"-1" CPUs`,
		"enable::r99999999999999999999:":     `"99999999999999999999" CPUs`,
		"disable-idle::r1:AAY":               "1 CPUs: from 2 to 8 can be checked",
		"global-static:lose-x8:r2:AAY":       "the fault is for scenarios with CALL_OPS",
		way:                                  "the way breaks nothing",
		token[:len(token)-2]:                 "illegal base64 data",
		token[:len(token)-1]:                 "it ends within choice 7",
		token + "D":                          "it goes on after what step 7 breaks",
		way + "!!":                           "illegal base64 data",
		way + "Bg":                           "choice 1 is of kind 6, on CPU 0",
		way + "8g":                           "choice 1 is of kind 2, on CPU 15",
		way + "AAA":                          "no token of a counterexample: step 1: the patchers' step 0 can't be made",
		way + "AICABA":                       "choice 1 is of 65536",
		way + "AP__Aw":                       "no token of a counterexample: step 1: the patchers' step 65535 can't be made",
		way + "AICAgIAQ":                     "choice 1 is of 4294967296",
		way + "Av////8P":                     "illegal base64 data",
		way + "Av____8P":                     "what cpu0 sees (0xffffffff) can't be made",
		way + "AQA":                          "callback 0 can't be made",
		way + "Aw":                           "a switch on cpu0 can't be made",
		way + "FA":                           "an interrupt of cpu1 can't be made",
		way + strings.Repeat("AwMD", 50_000): "more than 10000 choices",
	} {
		_, err := Replay(bad, nil)
		require.ErrorIs(t, err, ErrToken, "%.60s", bad)
		assert.ErrorContains(t, err, why, "%.60s", bad)
	}
}

// FuzzReplay replays paths that no search found: they break something, or are
// refused as no tokens. A token is its text up to the choices, and these.
func FuzzReplay(f *testing.F) {
	add := func(scenario, mutation string) {
		r, err := Check(f.Context(), scenario, mutation, nil)
		require.NoError(f, err)
		for _, c := range r.Violations {
			at := strings.LastIndex(c.Token, ":") + 1
			choices, err := base64.RawURLEncoding.DecodeString(c.Token[at:])
			require.NoError(f, err)
			f.Add(c.Token[:at], choices)
		}
	}
	for _, sc := range scenarios {
		if sc.Finding != NoFinding {
			add(sc.Name, "")
		}
	}
	for _, m := range mutations {
		if !m.fault.OnlyCode() {
			add(m.Scenario, m.Name)
		}
	}
	f.Fuzz(func(t *testing.T, text string, choices []byte) {
		c, err := Replay(text+base64.RawURLEncoding.EncodeToString(choices), nil)
		if err != nil {
			require.ErrorIs(t, err, ErrToken)
			return
		}
		assert.NotEmpty(t, c.Property)
		assert.NotEmpty(t, c.Steps)
		again, err := Replay(c.Token, nil)
		require.NoError(t, err)
		assert.Equal(t, c, again)
	})
}
