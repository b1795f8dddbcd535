package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/kernel"
)

// ftrace_filter=FUNC:mod:MODULE on the command line marks the filter that all ops without one share.
func TestFinding_ABootFilterForAModuleChangesTheEmptyHash(t *testing.T) {
	l := newLab(t, kernels.Linux7, &guestcore.Options{Before: func(k *kernel.Kernel) error {
		buf, err := k.Symbol("ftrace_filter_buf")
		if err != nil {
			return err
		}
		return k.Mem.Write(buf.Addr, []byte("none_such:mod:none_such\x00"))
	}})
	empty := l.sym("empty_hash")
	require.Equal(t, empty, l.load(l.sym("global_ops")+uint64(l.k.Layout.Ops.LocalHash+l.k.Layout.OpsHash.Filter)))
	assert.EqualValues(t, 1, l.load(empty+uint64(l.k.Layout.Hash.Flags)), "FTRACE_HASH_FL_MOD, in a const")

	// An ops whose filter is reset traces all functions. Now it traces none.
	o := l.ops("o", 0, "gcd")
	require.NoError(t, l.SetFilter(o, "", &ftrace.FilterOptions{Reset: true}))
	assert.False(t, l.Matches(o, l.ip("gcd")))
	l.register(o)
	assert.Zero(t, l.Count(l.record("gcd")))

	// So does a graph without a filter, as an instance's is.
	l.bootGraph()
	require.Zero(t, l.registerGraph(l.graph()))
	assert.Zero(t, l.enabled())
}

// Finding 6: a filter that waits for a module has no entry and matches nothing, until the module is
// loaded and has no such function.
func TestFinding_AFilterThatWaitedInVainTracesEverything(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		tr, global := l.sym("global_trace"), l.sym("global_ops")
		field := func(name string) uint64 { return tr + l.offset("trace_array", name) }
		l.link(l.sym("ftrace_trace_arrays"), field("list"))
		l.store(field("ops"), global)
		l.store(field("mod_notrace"), field("mod_notrace"))
		l.store(field("mod_notrace")+8, field("mod_notrace"))

		// As a write of "none_such:mod:af_alg" to set_ftrace_filter leaves them: a filter that is not
		// empty, and what it waits for.
		waits := l.call("kmemdup_noprof", l.alloc("ftrace_mod_load", 64), 64, gfpKernel)
		l.store(waits+l.offset("ftrace_mod_load", "func"), l.call("kstrdup", l.text("none_such"), gfpKernel))
		l.store(waits+l.offset("ftrace_mod_load", "module"), l.call("kstrdup", l.text("af_alg"), gfpKernel))
		l.link(field("mod_trace"), waits+l.offset("ftrace_mod_load", "list"))
		hash := l.call("alloc_ftrace_hash", 0)
		l.store(hash+uint64(l.k.Layout.Hash.Flags), 1)
		l.store(global+uint64(l.k.Layout.Ops.LocalHash+l.k.Layout.OpsHash.Filter), hash)

		require.Zero(t, status(l.call("register_ftrace_function", global)))
		require.Zero(t, l.enabled())
		_, err := l.k.LoadModuleFile(t.Context(), kernels.Module(t, l.series, "af_alg"), nil)
		require.NoError(t, err)
		assert.Equal(t, len(l.Records()), l.enabled())
	})
}

// gfpKernel is GFP_KERNEL.
const gfpKernel = 0xcc0

// link makes a list of one entry.
func (l *lab) link(head, entry uint64) {
	l.t.Helper()
	for _, at := range []uint64{head, head + 8} {
		l.store(at, entry)
	}
	for _, at := range []uint64{entry, entry + 8} {
		l.store(at, head)
	}
}
