package difftest

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDiff takes a class, a word of it and a state, or a block, from bytes.
func FuzzDiff(f *testing.F) {
	if engineA == nil {
		f.Skip("built without cgo: there is one engine")
	}
	for i := range uint64(64) {
		rng, seed := rand.NewPCG(i, 0), make([]byte, 400)
		for j := range seed {
			seed[j] = byte(rng.Uint64())
		}
		f.Add(uint16(i*3), seed)
	}
	r, err := newRig(f.Context(), engineA, engineB)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, r.close()) })
	f.Fuzz(func(t *testing.T, class uint16, data []byte) {
		if r.cases > engineCases {
			require.NoError(t, r.reopen())
		}
		s := &source{&byteSource{data}}
		var c *testCase
		var err error
		if n := int(class) % (len(classes) + 1); n < len(classes) {
			c, err = single(s, n)
		} else {
			c, err = block(s)
		}
		if err != nil {
			t.Skip("the bytes give no word of the class")
		}
		// Memory comes from the same bytes, so that an input says it all.
		require.NoError(t, r.fill(&source{rand.NewPCG(s.uint64(), 0)}))
		_, err = r.place([]*testCase{c})
		require.NoError(t, err)
		o, equal, err := r.run(c)
		require.NoError(t, err)
		if equal {
			return
		}
		why := reason(c, r, &o)
		text := r.explain(c, &o)
		require.NoError(t, r.reopen())
		require.NotEmpty(t, why, text)
	})
}
