//go:build !cgo

package unicorn

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/emu"
)

func TestNew_WithoutCgoIsUnsupported(t *testing.T) {
	_, err := New(emu.NewMemory())
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
