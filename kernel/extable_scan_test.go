package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// What looks like the exception table is what the symbols of a kernel that has some say.
func TestScanExTable_FindsWhatSymbolsSay(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, img.Close()) }()
	k, err := Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, k.Close()) }()
	_, err = k.Symbols.Lookup("__start___ex_table")
	require.NoError(t, err)
	assert.Equal(t, k.findExTable(), k.scanExTable())
}
