package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernel/services"
)

// Finding 1: the plain ops that leaves decides for the protected one that remains.
func TestFinding_TheLastOpsLosesItsProtection(t *testing.T) {
	for name, flag := range map[string]ftrace.OpsFlag{"RCU": ftrace.OpsRCU, "RECURSION": ftrace.OpsRecursion} {
		t.Run(name, func(t *testing.T) {
			labs(t, func(t *testing.T, l *lab) {
				protected, plain := l.ops("protected", flag, "gcd"), l.ops("plain", 0, "gcd")
				l.register(protected)
				require.Equal(t, "ftrace_list_ops", l.literal("gcd"))
				l.register(plain)
				l.unregister(plain)
				assert.Equal(t, "protected", l.literal("gcd"), "it is called directly")
				assert.NotZero(t, l.flags("gcd")&ftrace.RecCallOpsEn)

				l.register(plain)
				l.unregister(protected)
				assert.Equal(t, "ftrace_list_ops", l.literal("gcd"), "and the plain one through the list")
				assertAlive(t, l)
			})
		})
	}
}

// Finding 2: REGS outlives an ops that comes and goes while ftrace is switched off. 7.3 can't be
// switched off.
func TestFinding_RegsLeftWhileSwitchedOffKillFtrace(t *testing.T) {
	for name, leave := range map[string]func(l *lab, o *ftrace.Ops){
		"unregistered": func(l *lab, o *ftrace.Ops) { l.unregister(o) },
		"another filter": func(l *lab, o *ftrace.Ops) {
			require.NoError(l.t, l.SetFilterIP(o, l.ip("lcm"), &ftrace.FilterOptions{Reset: true}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, kernels.Linux612, nil)
			regs, plain := l.ops("regs", ftrace.OpsSaveRegs|ftrace.OpsSaveRegsIfSupported, "gcd"), l.ops("plain", 0, "int_sqrt")
			require.NoError(t, l.SetEnabled(0))
			l.register(regs)
			leave(l, regs)
			require.NoError(t, l.SetEnabled(1))
			assert.Equal(t, ftrace.RecRegs, l.flags("gcd"), "nothing traces it")
			if regs.Flags()&ftrace.OpsEnabled != 0 {
				l.unregister(regs)
			} else {
				l.register(plain)
				l.unregister(plain)
			}
			assert.True(t, l.Dead())
			assert.NotEmpty(t, l.warned)
			assert.ErrorIs(t, l.Register(l.ops("any", 0)), errno.ENODEV)
		})
	}
}

func TestFinding_FtraceStaysOnSince7(t *testing.T) {
	l := newLab(t, kernels.Linux7, nil)
	o := l.ops("o", 0, "gcd")
	l.register(o)
	require.ErrorIs(t, l.SetEnabled(0), errno.EOPNOTSUPP)
	on, err := l.Enabled()
	require.NoError(t, err)
	assert.Equal(t, 1, on)
	assert.NotZero(t, l.flags("gcd")&ftrace.RecEnabled)
}

// Finding 3: no CPU is interrupted after its call site was patched.
func TestFinding_RegisterInterruptsNoCPU(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		o := l.ops("o", 0, "gcd")
		l.events = nil
		l.register(o)
		var written bool
		for _, e := range l.events {
			if e.Kind == services.TextWritten && e.Addr == l.ip("gcd") {
				written = true
			}
			assert.NotEqual(t, services.Interrupted, e.Kind)
		}
		assert.True(t, written)
		assert.Empty(t, l.graces())
	})
}

// Finding 5: the old hash waits for RCU alone, whatever walks it.
func TestFinding_AReplacedHashWaitsForRCUOnly(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		o := l.ops("o", 0, "gcd")
		l.register(o)
		l.events = nil
		require.NoError(t, l.SetFilterIP(o, l.ip("lcm"), nil))
		var kinds []services.GraceKind
		for _, e := range l.events {
			if e.Kind == services.GraceBegan {
				kinds = append(kinds, e.Grace)
			}
		}
		assert.Equal(t, []services.GraceKind{services.RCU}, kinds)
		l.graces()
		l.unregister(o)
		assert.Equal(t, l.shutdownGraces(), l.graces())
	})
}
