package model

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu/interp"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

func TestCode_FindsAndChanges(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer k.Close()
	c := &Code{k}

	// crc32_update calls crc32_byte in a loop.
	at, err := c.Calls("crc32_update", "crc32_byte", "no such")
	require.NoError(t, err)
	require.Len(t, at, 1)
	crc32 := func() uint64 {
		buf, err := k.Heap.Alloc("buf", 16)
		require.NoError(t, err)
		res, err := k.CallName(t.Context(), 0, nil, "crc32_update", 0, buf, 2)
		require.NoError(t, err)
		return res.X0
	}
	require.NotEqual(t, uint64(7), crc32())
	seven, err := c.Func("seven", func(b *asm.Builder) { b.Emit(asm.Movz(asm.W0, 7, 0), asm.Ret()) })
	require.NoError(t, err)
	require.NoError(t, c.Redirect(at[0], seven))
	assert.Equal(t, uint64(7), crc32())
	require.NoError(t, c.PutInst(at[0], asm.Movz(asm.W0, 8, 0)))
	assert.Equal(t, uint64(8), crc32())

	_, err = c.Calls("crc32_update", "gcd")
	require.ErrorIs(t, err, errno.ENOENT)
	_, err = c.Words("no such", 0, 0)
	require.ErrorIs(t, err, errno.ENOENT)
}

func TestCode_MoveAfter(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer k.Close()
	c := &Code{k}
	at, err := c.Func("three", func(b *asm.Builder) {
		b.Emit(asm.Movz(asm.X0, 1, 0), asm.Movz(asm.X0, 2, 0), asm.Movz(asm.X0, 3, 0), asm.Ret())
	})
	require.NoError(t, err)
	require.NoError(t, c.MoveAfter(at, at+8))
	res, err := k.Call(t.Context(), 0, nil, at)
	require.NoError(t, err)
	assert.EqualValues(t, 1, res.X0)
}
