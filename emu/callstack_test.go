package emu_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

func TestCallStack_ShareOfTheBudget(t *testing.T) {
	for name, c := range map[string]struct{ outer, spent, inner, given uint64 }{
		"nothing asked for":  {100, 10, 0, 90},
		"less than is left":  {100, 10, 50, 50},
		"more than is left":  {100, 10, 95, 90},
		"nothing is left":    {100, 100, 0, 0},
		"no budget at all":   {0, 10, 0, emu.DefaultBudget - 10},
		"more than there is": {100, 200, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s emu.CallStack
			outer, err := s.Enter(t.Context(), 0, c.outer)
			require.NoError(t, err)
			s.Spend(c.spent)
			before := s.Left()
			inner, err := s.Enter(t.Context(), 0, c.inner)
			require.NoError(t, err)
			assert.Equal(t, c.given, s.Left())
			s.Spend(c.given / 2)
			s.Leave(inner)
			assert.Equal(t, before-c.given/2, s.Left())
			s.Leave(outer)
			assert.Equal(t, emu.CallStack{}, s)
		})
	}
}

func TestCallStack_RefusesACallWithoutAContext(t *testing.T) {
	var s emu.CallStack
	_, err := s.Enter(nil, 0x4000, 0) //nolint:staticcheck // that is the point
	require.ErrorIs(t, err, errno.EINVAL)
	assert.Equal(t, emu.CallStack{}, s)
}

func TestCallStack_MovesWithItsTask(t *testing.T) {
	var here, there emu.CallStack
	f, err := here.Enter(t.Context(), 0, 10)
	require.NoError(t, err)
	there, here = here, emu.CallStack{}
	there.Spend(4)
	assert.Equal(t, uint64(6), there.Left())
	there.Leave(f)
	assert.Equal(t, emu.CallStack{}, there)
}

func TestCallStack_ChargesForWhatIsServed(t *testing.T) {
	var s emu.CallStack
	require.NoError(t, s.Charge(4), "no call is in progress")
	ctx, cancel := context.WithCancel(t.Context())
	f, err := s.Enter(ctx, 0, 2)
	require.NoError(t, err)
	defer s.Leave(f)
	require.NoError(t, s.Charge(4))
	require.NoError(t, s.Charge(4))
	require.ErrorIs(t, s.Charge(4), emu.ErrBudget)
	cancel()
	require.ErrorIs(t, s.Charge(4), context.Canceled)
}

// A nested call's context has the error of whichever ended it.
func TestCallStack_Contexts(t *testing.T) {
	past := func() (context.Context, context.CancelFunc) {
		return context.WithDeadline(t.Context(), time.Unix(0, 0))
	}
	cancelled := func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx, cancel
	}
	live := func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }
	never := func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }
	for name, c := range map[string]struct {
		outer, inner func() (context.Context, context.CancelFunc)
		want         error
	}{
		"neither":                    {live, live, nil},
		"the outer's deadline":       {past, live, context.DeadlineExceeded},
		"the inner's deadline":       {live, past, context.DeadlineExceeded},
		"the outer is cancelled":     {cancelled, live, context.Canceled},
		"an inner that never ends":   {past, never, context.DeadlineExceeded},
		"an outer that never ends":   {never, cancelled, context.Canceled},
		"both, and the inner's wins": {cancelled, past, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			outer, cancel := c.outer()
			defer cancel()
			inner, cancel := c.inner()
			defer cancel()
			var s emu.CallStack
			around, err := s.Enter(outer, 0, 0)
			require.NoError(t, err)
			f, err := s.Enter(inner, 0, 0)
			require.NoError(t, err)
			if c.want != nil {
				<-f.Ctx.Done()
			}
			assert.Equal(t, c.want, f.Ctx.Err())
			s.Leave(f)
			s.Leave(around)
		})
	}
}
