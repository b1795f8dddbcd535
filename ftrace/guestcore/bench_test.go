package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// ready opens a kernel and has it start its ftrace on all its call sites.
func ready(b *testing.B) (*guestcore.Core, func()) {
	img, err := kernelimage.Open(b.Context(), kernels.Path(b, kernels.Linux612), nil)
	require.NoError(b, err)
	k, _ := bootWith(b, img, nil, nil)
	c, err := guestcore.New(k, nil)
	require.NoError(b, err)
	require.NoError(b, k.FreeInitMem())
	return c, func() {
		require.NoError(b, k.Close())
		require.NoError(b, img.Close())
	}
}

// From the file to the core that can be asked.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		_, end := ready(b)
		end()
	}
}

// One ops registered and unregistered.
func BenchmarkRegister(b *testing.B) {
	c, end := ready(b)
	defer end()
	for name, filter := range map[string]string{"one function": "int_sqrt", "all functions": "*"} {
		o, err := c.NewOps(name, c.Code().OpsFuncNop, &ftrace.OpsOptions{})
		require.NoError(b, err)
		require.NoError(b, c.SetFilter(o, filter, nil))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, c.Register(o))
				require.NoError(b, c.Unregister(o))
			}
		})
	}
}
