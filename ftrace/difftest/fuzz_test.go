package difftest

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/kernelimage"
)

// bytesSource makes what a generator decides of bytes, one for each decision, and once they
// are used up of numbers that are always the same.
type bytesSource struct {
	left []byte
	rest uint64
}

func (s *bytesSource) Uint64() uint64 {
	if len(s.left) == 0 {
		s.rest += 0x9e3779b97f4a7c15 // a generator may ask until it likes the answer
		return s.rest
	}
	b := s.left[0]
	s.left = s.left[1:]
	return uint64(b) * 0x0101010101010101 // the generator takes upper or lower bits
}

// mostInput is how many bytes of an input count: a fuzzer gives up on one that takes seconds.
const mostInput = 512

// FuzzPair applies what the bytes decide on two cores, made once: each input ends by
// unregistering and freeing what it made.
func FuzzPair(f *testing.F) {
	img, err := kernelimage.Open(f.Context(), kernels.Path(f, kernels.Linux612), nil)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, img.Close()) })
	s := &Soak{Image: img}
	cfg, template := s.config()
	var p *Pair
	f.Cleanup(func() {
		if p != nil {
			require.NoError(f, p.Close())
		}
	})
	for seed := range uint64(4) {
		from := rand.New(rand.NewPCG(seed, 0))
		input := make([]byte, 400)
		for i := range input {
			input[i] = byte(from.Uint32())
		}
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		input = input[:min(len(input), mostInput)]
		if p == nil {
			p, err = NewPair(context.Background(), cfg) // it outlives the input
			require.NoError(t, err)
		}
		src := &bytesSource{left: input}
		r := *template
		// A static ops can't be freed.
		r.Rand, r.ops, r.made, r.statics = rand.New(src), nil, 0, mostStatics
		err := p.consume(t, &r, src)
		if err == nil && !p.died() {
			return
		}
		err = errors.Join(err, p.Close())
		p = nil
		require.NoError(t, err)
	})
}

// consume applies steps until the bytes are used up, and then undoes what they left.
func (p *Pair) consume(t *testing.T, r *random, src *bytesSource) error {
	p.steps = nil
	for len(src.left) > 0 {
		if err := p.run(t.Context(), r, 1); err != nil {
			return err
		}
	}
	for _, o := range r.ops {
		steps := []Step{{Verb: Unregister, Ops: o.place}, {Verb: Free, Ops: o.place}}
		if o.direct {
			steps = []Step{{Verb: UnregisterDirect, Ops: o.place}, {Verb: UnregisterDirect, Ops: o.place, Value: 1}, {Verb: Free, Ops: o.place}}
		}
		if r.undefined(&o) { // and never registered
			steps = steps[len(steps)-1:]
		}
		for _, step := range steps {
			if err := p.Apply(t.Context(), step, false); err != nil {
				return err
			}
		}
	}
	return p.compare(true)
}
