package machine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/internal/patchimage"
	"callops/kernelimage"
	"callops/machine"
)

func TestGuest_WhatItsCoreDoesEndsWithTheContext(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	defer img.Close()
	const afterSite, forever = 8, 0x14000000 // b .
	patched := patchimage.Words(t, img, map[uint64]uint32{patchimage.Addr(t, img, "unregister_ftrace_function", afterSite): forever})
	sites := []uint64{img.Sites()[0].IP}
	for name, cpus := range map[string]int{"on a CPU": 1, "in a task": 2} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			m, err := machine.New(ctx, &machine.Config{Image: patched, CPUs: cpus, Guest: &guestcore.Options{Sites: sites, Budget: 1 << 40}})
			require.NoError(t, err)
			o, err := m.Ftrace.NewOps("mine", m.Ftrace.Code().OpsFuncNop, nil)
			require.NoError(t, err)
			require.NoError(t, m.Ftrace.Register(o))
			time.AfterFunc(20*time.Millisecond, cancel)
			require.ErrorIs(t, m.Ftrace.Unregister(o), context.Canceled)
			assert.True(t, m.Ftrace.Dead(), "its locks are as it left them")
			_ = m.Close()
		})
	}
}
