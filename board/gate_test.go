package board

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
)

// testTracer has a Go tracer see calls of gcd.
func testTracer(t *testing.T, m *Machine) {
	ctx := t.Context()
	gcd, err := m.symbols.Lookup("gcd")
	require.NoError(t, err)
	type call struct{ ip, a, b uint64 }
	var calls []call
	tracer, err := m.GoTracer("watch", func(_ *Machine, ip, _, _ uint64, regs *ftrace.Regs) {
		calls = append(calls, call{ip, regs.Arg(0), regs.Arg(1)})
		regs.SetArg(1, 21)
	})
	require.NoError(t, err)
	ops, err := m.NewOps(ctx, "watch_ops", tracer, 0)
	require.NoError(t, err)
	require.ErrorIs(t, ops.SetFilter(ctx, "no_such_function"), errno.EINVAL)
	require.NoError(t, ops.SetFilter(ctx, "gcd"))
	require.NoError(t, ops.Register(ctx))
	require.ErrorIs(t, ops.Register(ctx), errno.EBUSY)
	n, err := m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 21, n, "the tracer changed an argument")
	_, err = m.Call(ctx, "int_sqrt", 144)
	require.NoError(t, err)
	require.NoError(t, ops.Unregister(ctx))
	require.NoError(t, ops.Free(ctx))
	n, err = m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 12, n)
	site, ok := m.img.Site(gcd.Addr)
	require.True(t, ok)
	assert.Equal(t, []call{{site.IP, 84, 36}}, calls)
}

func TestTracer_SeesCallsAndChangesThem(t *testing.T) { testTracer(t, booted(t)) }

func TestDirect_IsCalledWithTheArguments(t *testing.T) {
	m, ctx := booted(t), t.Context()
	type call struct{ parent, a, b uint64 }
	var calls []call
	direct, err := m.GoDirect("direct", func(_ *Machine, _, parent uint64, args *[8]uint64) {
		calls = append(calls, call{parent, args[0], args[1]})
		args[0] = 72
	})
	require.NoError(t, err)
	other, err := m.GoDirect("other", func(*Machine, uint64, uint64, *[8]uint64) {})
	require.NoError(t, err)
	ops, err := m.NewOps(ctx, "direct_ops", 0, 0)
	require.NoError(t, err)
	require.ErrorIs(t, ops.RegisterDirect(ctx, direct), errno.EINVAL, "it has no filter")
	require.NoError(t, ops.SetFilter(ctx, "gcd"))
	require.NoError(t, ops.RegisterDirect(ctx, direct))
	n, err := m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 36, n)
	assert.Equal(t, []call{{m.init.Regs().PC, 84, 36}}, calls)

	// Beside a tracer.
	traced := 0
	tracer, err := m.GoTracer("watch", func(*Machine, uint64, uint64, uint64, *ftrace.Regs) { traced++ })
	require.NoError(t, err)
	watch, err := m.NewOps(ctx, "watch_ops", tracer, 0)
	require.NoError(t, err)
	require.NoError(t, watch.SetFilter(ctx, "gcd"))
	require.NoError(t, watch.Register(ctx))
	_, err = m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.Len(t, calls, 2)
	assert.Equal(t, 1, traced)

	require.NoError(t, ops.ModifyDirect(ctx, other))
	require.NoError(t, ops.UnregisterDirect(ctx, other))
	require.NoError(t, watch.Unregister(ctx))
	n, err = m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 12, n)
	assert.Len(t, calls, 2)
	require.NoError(t, ops.Free(ctx))
	require.ErrorIs(t, ops.Register(ctx), errno.EINVAL)
}

func TestGate_IsPartOfForks(t *testing.T) {
	m, ctx := booted(t), t.Context()
	seen := make(map[*Machine]int)
	fail := errors.New("the gate says so")
	gate, err := m.Gate("gate", func(m *Machine, _ emu.CPU, args [8]uint64) (uint64, error) {
		seen[m]++
		if args[0] == 0 {
			return 0, fail
		}
		return 2 * args[0], nil
	})
	require.NoError(t, err)
	th, err := m.Thread(ctx, "caller", &ThreadOptions{Rounds: 3}, GuestCall{Addr: gate, Args: []uint64{4}})
	require.NoError(t, err)
	z, err := m.Freeze()
	require.NoError(t, err)
	defer z.Close()
	fork, err := z.Start(nil)
	require.NoError(t, err)
	defer fork.Close()
	in := th.In(fork)
	require.NoError(t, in.Wait(ctx))
	results, err := in.Results()
	require.NoError(t, err)
	assert.Equal(t, []uint64{8}, results)
	assert.Equal(t, 3, seen[fork])
	n, err := m.CallAt(ctx, gate, 21)
	require.NoError(t, err)
	assert.EqualValues(t, 42, n)
	_, err = fork.CallAt(ctx, gate, 0)
	require.ErrorIs(t, err, fail)
}
