package kernelimage

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestTextCost_CountsLiteralsAndPadding(t *testing.T) {
	for name, img := range map[string]*Image{
		"builtin": builtinImage(t, nil), "builtin_bti": builtinImage(t, &BuiltinOptions{BTI: true}),
		"gcc": workload(t, "workload-callops.elf"), "gcc_bti": workload(t, "workload-callops-bti.elf"), "gcc_shared": workload(t, "workload-callops.so"),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := img.TextCost()
			require.NoError(t, err)
			n := uint64(len(img.sites))
			assert.Equal(t, len(img.sites), c.Sites)
			assert.Equal(t, 8*n, c.Literals)
			assert.Equal(t, 8*n, c.Slots)
			assert.NotZero(t, c.Padding)
			assert.Zero(t, c.Padding%4)
			assert.LessOrEqual(t, c.Padding, 4*n, "a function has at most one word of it")
			assert.Less(t, c.CallOps(), c.Text)
			assert.InDelta(t, 100*float64(c.CallOps())/float64(c.Text-c.CallOps()), c.Percent(), 1e-9)
		})
	}
}

func TestTextCost_WithoutCallOpsThereIsNone(t *testing.T) {
	for name, img := range map[string]*Image{
		"builtin": builtinImage(t, &BuiltinOptions{NoCallOps: true}), "gcc": workload(t, "workload-args.elf"),
	} {
		c, err := img.TextCost()
		require.NoError(t, err)
		assert.Zero(t, c.CallOps(), name)
		assert.NotZero(t, c.Slots, name)
	}
}

func TestTextGrowth_IsWhatTheTwoBuildsDifferBy(t *testing.T) {
	g, err := TextGrowth(builtinImage(t, nil), builtinImage(t, &BuiltinOptions{NoCallOps: true}))
	require.NoError(t, err)
	assert.EqualValues(t, g.With.CallOps(), g.Bytes, "the same code but for literals and alignment")
	assert.InDelta(t, g.With.Percent(), g.Percent, 1e-9)

	g, err = TextGrowth(workload(t, "workload-callops.elf"), workload(t, "workload-args.elf"))
	require.NoError(t, err)
	assert.Positive(t, g.Bytes)
	assert.InDelta(t, g.With.CallOps(), g.Bytes, 64, "alignment of loops may shift too")
}

func TestTextCost_NeedsSizedFunctions(t *testing.T) {
	_, err := (&Image{name: "stripped"}).TextCost()
	assert.ErrorIs(t, err, errno.ENOENT)
}
