package patchimage

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/kernels"
	"callops/kernelimage"
)

func TestWrite_IsReadAsTheSameKernelWithOtherWords(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	defer img.Close()
	at := Addr(t, img, "ftrace_stub", 4)
	before, ok := img.Word(at)
	require.True(t, ok)
	require.NotEqual(t, asm.NOP, before)

	again, err := kernelimage.Open(t.Context(), Write(t, Words(t, img, map[uint64]uint32{at: asm.NOP})), nil)
	require.NoError(t, err)
	defer again.Close()
	after, ok := again.Word(at)
	require.True(t, ok)
	assert.Equal(t, asm.NOP, after)
	assert.Equal(t, img.Sites(), again.Sites())
	assert.Equal(t, img.Symbols(), again.Symbols())
	assert.Equal(t, img.Banner(), again.Banner())
	unchanged, _ := img.Word(at)
	assert.Equal(t, before, unchanged, "the image itself never changes")
}
