package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
)

// fprobeLab is a kernel with fprobes over fgraph, which 6.12 does not have.
func fprobeLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, kernels.Linux7, &guestcore.Options{
		Sites: sitesOf(t, kept.Image(t, kernels.Linux7)),
		Before: func(k *kernel.Kernel) error {
			_, err := k.CallName(t.Context(), 0, nil, "fprobe_initcall")
			return err
		},
	})
	l.bootGraph()
	// The table of fprobes asks a worker to shrink it: there is none, and it stays large.
	for name, skip := range map[string]uint64{"irq_work_queue": 0, "queue_work_on": 8} {
		l.returnAtOnce(name, skip, 1)
	}
	return l
}

// returnAtOnce has a function of the kernel return a value, from skip bytes on.
func (l *lab) returnAtOnce(name string, skip, value uint64) {
	l.t.Helper()
	at := l.sym(name) + skip
	l.store(at, 0xd65f03c0<<32|0x52800000|value<<5) // mov w0, #value; ret
	l.k.Mem.SyncText(at, 8)
}

// fprobe is a struct fprobe with an entry handler, and an exit handler where exit is.
func (l *lab) fprobe(exit bool) uint64 {
	l.t.Helper()
	fp := l.alloc("fprobe", 256)
	l.store(fp+l.offset("fprobe", "entry_handler"), l.sym("ftrace_stub"))
	if exit {
		l.store(fp+l.offset("fprobe", "exit_handler"), l.sym("ftrace_stub"))
	}
	return fp
}

func (l *lab) registerFprobe(fp uint64, fn string) int {
	l.t.Helper()
	addrs := l.alloc("addrs", 8)
	l.store(addrs, l.ip(fn))
	return status(l.call("register_fprobe_ips", fp, addrs, 1))
}

// What finding 10 does to fprobes: all with an exit handler share one graph.
func TestFinding_AnFprobeWithoutMemoryIsTheLastWithAnExitHandler(t *testing.T) {
	l := fprobeLab(t)
	n := l.allocations(func() { require.Zero(t, l.registerFprobe(l.fprobe(true), "gcd")) })

	l = fprobeLab(t)
	l.services.FailAlloc(n)
	require.Equal(t, -12, l.registerFprobe(l.fprobe(true), "gcd"), "ENOMEM")
	for range 2 {
		assert.Equal(t, -16, l.registerFprobe(l.fprobe(true), "lcm"), "EBUSY")
	}
	assert.Zero(t, l.registerFprobe(l.fprobe(false), "lcm"))
}

// What finding 11 does to fprobes.
func TestFinding_AnFprobeThatLeavesWithoutMemoryIsTheLastWithAnExitHandler(t *testing.T) {
	setUp := func() (l *lab, fp uint64) {
		l = fprobeLab(t)
		require.Zero(t, l.registerGraph(l.graph("int_sqrt")))
		fp = l.fprobe(true)
		require.Zero(t, l.registerFprobe(fp, "gcd"))
		return l, fp
	}
	l, fp := setUp()
	n := l.allocations(func() { require.Zero(t, status(l.call("unregister_fprobe", fp))) })

	l, fp = setUp()
	l.services.FailAlloc(n)
	require.Zero(t, status(l.call("unregister_fprobe", fp)))
	for range 2 {
		assert.Equal(t, -16, l.registerFprobe(l.fprobe(true), "lcm"), "EBUSY")
	}
}

// A return that fprobes did not ask for finds no data of theirs on the shadow stack.
func TestFinding_FprobesWarnOfAReturnThatAnotherGraphAskedFor(t *testing.T) {
	l := fprobeLab(t)
	require.Zero(t, l.registerFprobe(l.fprobe(true), "gcd"))
	other, _ := l.tellingGraph(nil, nil, "int_sqrt")
	require.Zero(t, l.registerGraph(other))
	l.call("gcd", 84, 36)
	require.Empty(t, l.warned)
	l.call("int_sqrt", 100)
	require.Len(t, l.warned, 1)
	assert.Contains(t, l.warned[0], "kernel/trace/fprobe.c:")
}

// A module that goes takes its functions out of no filter, where some have fprobes of one kind
// and some of the other.
func TestFinding_AModuleThatGoesStaysInFprobesFilters(t *testing.T) {
	for name, test := range map[string]struct {
		mixed bool
		left  int
	}{
		"one kind":   {false, 2},
		"both kinds": {true, 4},
	} {
		t.Run(name, func(t *testing.T) {
			l := fprobeLab(t)
			require.Zero(t, l.registerFprobe(l.fprobe(false), "vfs_read"))
			require.Zero(t, l.registerFprobe(l.fprobe(test.mixed), "vfs_write"))
			require.Zero(t, l.registerFprobe(l.fprobe(false), "gcd"))
			require.Zero(t, l.registerFprobe(l.fprobe(true), "lcm"))
			require.Equal(t, 4, l.enabled())

			// A module that has vfs_read and vfs_write.
			from, to := l.ip("vfs_read"), l.ip("vfs_write")
			from, to = min(from, to), max(from, to)
			mod := l.alloc("module", 8192)
			mem := mod + l.offset("module", "mem")
			l.store(mem+l.offset("module_memory", "base"), from)
			require.NoError(t, l.k.Mem.Store32(mem+l.offset("module_memory", "size"), uint32(to-from)+4))
			const going = 2 // MODULE_STATE_GOING
			l.call("fprobe_module_callback", 0, going, mod)
			assert.Equal(t, test.left, l.enabled(), "gcd, lcm, and what should have gone")
		})
	}
}
