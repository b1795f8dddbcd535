package difftest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/kernelimage"
)

// What is wrong in the kernel's direct_functions is noticed: an entry's address, its site, one that
// is there and is not found, and one that is gone.
func TestCompareDirects_NoticesWhatIsWrongInTheHash(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, img.Close()) }()
	sites := make([]uint64, 8)
	for i := range sites {
		sites[i] = img.Sites()[i].IP
	}
	p, err := NewPair(t.Context(), Config{Image: img, Sites: sites})
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Close()) }()
	for _, step := range []Step{{Verb: NewDirect}, {Verb: Filter, Sites: sites[2:6]}, {Verb: RegisterDirect}} {
		require.NoError(t, p.Apply(t.Context(), step, true))
	}
	mem, l := p.image.m.Kernel.Mem, p.image.m.Kernel.Layout
	hash, err := p.image.directFunctions()
	require.NoError(t, err)
	word := func(at uint64, off int) uint64 {
		v, err := mem.Load64(at + uint64(off))
		require.NoError(t, err)
		return v
	}
	heads := word(hash, l.Hash.Buckets)
	var used, empty uint64 // buckets
	for i := range uint64(1) << word(hash, l.Hash.SizeBits) {
		if at := heads + 8*i; word(at, 0) != 0 {
			used = at
		} else {
			empty = at
		}
	}
	require.NotZero(t, used)
	require.NotZero(t, empty)
	node := word(used, 0)
	entry := node - uint64(l.Entry.Next)
	for name, stores := range map[string]map[uint64]uint64{
		"another address":     {entry + uint64(l.Entry.Direct): p.image.directs[1]},
		"another site":        {entry + uint64(l.Entry.IP): sites[0]},
		"in the wrong bucket": {empty: node, used: 0},
		"not there any more":  {used: 0},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, p.compareDirects())
			for at, v := range stores {
				was := word(at, 0)
				require.NoError(t, mem.Store64(at, v))
				defer func() { require.NoError(t, mem.Store64(at, was)) }()
			}
			var d *Difference
			require.ErrorAs(t, p.compareDirects(), &d)
			assert.Contains(t, d.What, "the direct call of ")
		})
	}
}
