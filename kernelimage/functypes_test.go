package kernelimage_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage"
)

func TestFuncTypes_AreThoseOfTheBTF(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	ids, err := img.FuncTypes()
	require.NoError(t, err)
	assert.Greater(t, len(ids), 40_000)
	assert.NotZero(t, ids["gcd"])
	assert.NotContains(t, ids, "task_struct")
}

func TestFuncTypes_OfAnImageWithoutBTF(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	_, err = img.FuncTypes()
	require.ErrorIs(t, err, errno.ENOENT)
}
