package play_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/play"
)

// A script comes from a browser: whatever it holds, it is played or refused.
func FuzzRun(f *testing.F) {
	f.Add([]byte(`{"scheme":"sets","func":"gcd","args":[84,36],"calls":2,"actions":[{"at":3,"do":"register","ops":"A","filter":"gcd"},{"at":9,"do":"unregister","ops":"A"}]}`))
	f.Add([]byte(`{"func":"fib","args":[3],"actions":[{"do":"register","ops":"","filter":"*"}]}`))
	f.Fuzz(func(t *testing.T, request []byte) {
		var s play.Script
		if json.Unmarshal(request, &s) != nil {
			return
		}
		rec, err := play.Run(t.Context(), nil, &s)
		if err != nil {
			return
		}
		_, err = json.Marshal(rec)
		require.NoError(t, err)
	})
}
