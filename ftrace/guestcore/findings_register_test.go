package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
)

// An ops is on the list, and called, before register_ftrace_function finds that it must refuse it.
// It takes it off again and waits for nobody, so the caller frees what another CPU walks.
func TestFinding_AFailedRegisterWaitsForNoWalker(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		first, second := l.ops("first", 0, "gcd"), l.ops("second", 0, "gcd")
		owner := l.ops("owner", ftrace.OpsIPModify, "lcm")
		l.register(first, second, owner)

		other := l.second()
		fn, err := l.GoTracer("refused", func(_, _ uint64, _ *ftrace.Ops, _ *ftrace.Regs) { other.stop() })
		require.NoError(t, err)
		refused, err := l.NewOps("refused", fn, &ftrace.OpsOptions{Flags: ftrace.OpsIPModify})
		require.NoError(t, err)
		l.filter(refused, "gcd", "lcm")
		l.events = nil

		// ftrace_startup: the ops is on the list.
		at := breakpoints{l.sym("__ftrace_hash_update_ipmodify"): func() { l.start(other, nil, "gcd", 84, 36) }}
		res, err := l.k.CallName(t.Context(), 0, at.options(), "register_ftrace_function", refused.Addr())
		require.NoError(t, err)
		require.Equal(t, -16, status(res.X0), "EBUSY: two IPMODIFY ops on lcm")
		assert.Empty(t, l.graces(), "it waits for no grace period, with a CPU in its func")

		l.free(refused)
		var fault *emu.Fault
		require.ErrorAs(t, other.finish(), &fault, "the walk goes on in freed memory")
	})
}

// By comparison: unregister waits, and so finds the CPU.
func TestFinding_UnregisterWaitsForWalkers(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		other := l.second()
		fn, err := l.GoTracer("o", func(_, _ uint64, _ *ftrace.Ops, _ *ftrace.Regs) { other.stop() })
		require.NoError(t, err)
		o, err := l.NewOps("o", fn, nil)
		require.NoError(t, err)
		l.filter(o, "gcd")
		l.register(o)
		l.start(other, nil, "gcd", 84, 36)
		require.ErrorIs(t, l.Unregister(o), errno.EDEADLK)
		require.NoError(t, other.finish())
	})
}

// prepare_direct_functions_for_ipmodify looks into the filter hash of an ops that may have none, and
// before the ops is initialised.
func TestFinding_IPModifyWithoutAFilterIsReadThroughNull(t *testing.T) {
	for _, how := range []string{"register_ftrace_function", "unregister_ftrace_function"} {
		for name, init := range map[string]bool{"never initialised": false, "initialised": true} {
			t.Run(how+" "+name, func(t *testing.T) {
				labs(t, func(t *testing.T, l *lab) {
					o := l.ops("o", ftrace.OpsIPModify)
					if init {
						l.store(o.Addr()+uint64(l.k.Layout.Ops.FuncHash), o.Addr()+uint64(l.k.Layout.Ops.LocalHash))
						l.store(o.Addr()+uint64(l.k.Layout.Ops.Flags), uint64(ftrace.OpsIPModify|ftrace.OpsInitialized))
					}
					_, err := l.k.CallName(t.Context(), 0, nil, how, o.Addr())
					var fault *emu.Fault
					require.ErrorAs(t, err, &fault)
					assert.Less(t, fault.Addr, uint64(4096))
				})
			})
		}
	}
}

// Only register_ftrace_function asks DIRECT ops whether they share their sites; a filter that grows
// does not.
func TestFinding_AFilterThatGrowsAsksNoDirectOps(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		d := l.directOps("direct", "gcd")
		require.NoError(t, l.RegisterDirect(d, l.direct[0]))
		refused := l.ops("refused", ftrace.OpsIPModify, "gcd")
		require.ErrorIs(t, l.Register(refused), errno.EBUSY, "the DIRECT ops does not share")

		grows := l.ops("grows", ftrace.OpsIPModify, "lcm")
		l.register(grows)
		require.NoError(t, l.SetFilterIP(grows, l.ip("gcd"), nil))
		assert.NotZero(t, l.flags("gcd")&ftrace.RecIPModify)
		assert.NotZero(t, l.flags("gcd")&ftrace.RecDirect)
		assertAlive(t, l)
	})
}

// A refused IPMODIFY ops leaves DIRECT ops sharing: nobody tells them that it did not come.
func TestFinding_ARefusedIPModifyLeavesDirectOpsSharing(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		var asked []ftrace.ShareCommand
		d := l.directOps("direct", "gcd")
		d.Share = func(_ *ftrace.Ops, cmd ftrace.ShareCommand) error {
			asked = append(asked, cmd)
			return nil
		}
		require.NoError(t, l.RegisterDirect(d, l.direct[0]))
		owner := l.ops("owner", ftrace.OpsIPModify, "lcm")
		l.register(owner)
		refused := l.ops("refused", ftrace.OpsIPModify, "gcd", "lcm")
		require.ErrorIs(t, l.Register(refused), errno.EBUSY)
		assert.Equal(t, []ftrace.ShareCommand{ftrace.EnableSharePeer}, asked)
		assert.Zero(t, l.flags("gcd")&ftrace.RecIPModify)
		assertAlive(t, l)
	})
}

// A dead ftrace unregisters nothing, and what its sites call is freed all the same.
func TestFinding_ADeadFtraceStillCallsWhatIsFreed(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		o := l.ops("o", 0, "gcd")
		l.register(o)
		l.call("ftrace_kill")
		require.ErrorIs(t, l.Unregister(o), errno.ENODEV)
		require.NoError(t, l.FreeOps(o))
		_, err := l.k.CallName(t.Context(), 0, nil, "gcd", 84, 36)
		var fault *emu.Fault
		require.ErrorAs(t, err, &fault)
	})
}

// A DIRECT ops that is refused loses its func at once, under a CPU that is about to call it.
func TestFinding_ARefusedDirectOpsCanKillFtrace(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		l.register(l.ops("ipmodify", ftrace.OpsIPModify, "gcd"), l.ops("plain", 0, "gcd"))
		refused := l.directOps("refused", "gcd")
		other := l.second()
		at := breakpoints{l.sym("__ftrace_hash_update_ipmodify"): func() {
			l.start(other, l.holding(other, refused.Addr(), "arch_ftrace_ops_list_func"), "gcd", 84, 36)
		}}
		res, err := l.k.CallName(t.Context(), 0, at.options(), "register_ftrace_direct", refused.Addr(), l.direct[0])
		require.NoError(t, err)
		require.Equal(t, -16, status(res.X0), "EBUSY: it does not share with IPMODIFY")
		require.False(t, l.Dead())
		require.NoError(t, other.finish())
		assert.True(t, l.Dead())
	})
}
