package machine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/internal/patchimage"
	"callops/machine"
	"callops/sched"
)

func TestGuest_WhatItsCoreDoesEndsWithTheContext(t *testing.T) {
	img := kept.Image(t, kernels.Linux612)
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

// An operation that a task asks for runs in that task. In one of its own it would wait for a CPU,
// and its grace period for the task that asks.
func TestGuest_OperationsOfATaskRunInIt(t *testing.T) {
	img := kept.Image(t, kernels.Linux612)
	sqrt := patchimage.Addr(t, img, "int_sqrt", 0)
	site, ok := img.Site(sqrt)
	require.True(t, ok)
	m, err := machine.New(t.Context(), &machine.Config{
		Image: img, CPUs: 2, Sched: &sched.Options{Stall: time.Hour}, Guest: &guestcore.Options{Sites: []uint64{site.IP}},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()

	calls := 0
	tracer, err := m.Ftrace.GoTracer("once", func(_, _ uint64, op *ftrace.Ops, _ *ftrace.Regs) {
		calls++
		assert.NoError(t, m.Ftrace.Unregister(op))
	})
	require.NoError(t, err)
	once, err := m.Ftrace.NewOps("once", tracer, nil)
	require.NoError(t, err)
	require.NoError(t, m.Ftrace.SetFilter(once, "int_sqrt", nil))
	require.NoError(t, m.One(t.Context(), func(c *machine.Caller) error {
		if err := m.Ftrace.Register(once); err != nil {
			return err
		}
		for range 2 {
			if _, err := c.Call(nil, sqrt, 100); err != nil {
				return err
			}
		}
		return nil
	}))
	assert.Equal(t, 1, calls)
	assert.Empty(t, m.Ftrace.Registered())

	require.NoError(t, m.Each(t.Context(), func(*machine.Caller) error { return m.Ftrace.FreeFilter(once) }), "where every CPU has a task")
}
